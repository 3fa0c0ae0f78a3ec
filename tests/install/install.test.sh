#!/bin/bash
# What is installed is enough: a program is built from it alone, by pkg-config and by CMake,
# dynamically and statically, after the whole installation was moved to another place.
# serial
# build: plain
set -u
count=0
failed=0

# check NAME COMMAND...: one test; the command's output is shown when it fails.
check() {
    local name=$1 said
    shift
    count=$((count + 1))
    if said=$("$@" 2>&1); then
        echo "ok $count - install_$name"
    else
        failed=$((failed + 1))
        echo "not ok $count - install_$name"
        printf '%s\n' "$said" | sed 's/^/# /'
    fi
}

skip() {
    count=$((count + 1))
    echo "ok $count - install_$1 # SKIP $2"
}

first=$TMPDIR/first
prefix=$TMPDIR/moved
consumer=$TN_SOURCE_DIR/tests/install/consumer
libdir=$(sed -n 's/^CMAKE_INSTALL_LIBDIR:PATH=//p' "$TN_BUILD_DIR/CMakeCache.txt")

install_and_move() {
    cmake --install "$TN_BUILD_DIR" --prefix "$first" && mv "$first" "$prefix"
}

headers_are_all_there() {
    diff -r "$TN_SOURCE_DIR/include/tenure" "$prefix/include/tenure"
}

every_program_is_there_with_its_page() {
    local program missing=0
    for program in "$TN_BUILD_DIR"/bin/tenure*; do
        [ -x "$program" ] || continue
        program=$(basename "$program")
        [ -x "$prefix/bin/$program" ] || { echo "no bin/$program"; missing=1; }
        compgen -G "$prefix/share/man/man[18]/$program.[18]" >/dev/null ||
            { echo "no manual page of $program"; missing=1; }
    done
    return $missing
}

pages_are_well_formed() {
    find "$prefix/share/man" -type f -print0 | xargs -0 -r mandoc -T lint -W warning
}

completions_parse() {
    local file
    for file in "$prefix"/share/bash-completion/completions/*; do
        if [ -e "$file" ]; then bash -n "$file" || return 1; fi
    done
}

texts_name_no_place() {
    ! grep -rE "(^|[\"=:; ])($first|$TN_SOURCE_DIR|$TN_BUILD_DIR)([\"/:; ]|\$)" \
        "$prefix/$libdir/cmake" "$prefix/$libdir/pkgconfig"
}

unit_names_the_program() {
    grep -x "ExecStart=$first/bin/tenured --data-dir %S/tenure" \
        "$prefix/lib/systemd/system/tenured.service"
}

# The unit for the place where the program lies now, as systemd reads it.
unit_is_understood() {
    sed "s|$first|$prefix|" "$prefix/lib/systemd/system/tenured.service" \
        >"$TMPDIR/tenured.service"
    local said
    said=$(systemd-analyze verify --man=no "$TMPDIR/tenured.service" 2>&1)
    if printf '%s\n' "$said" | grep tenured.service; then return 1; fi
}

staged_files_lie_below_destdir() {
    DESTDIR=$TMPDIR/stage cmake --install "$TN_BUILD_DIR" --prefix /usr &&
        test -f "$TMPDIR/stage/usr/include/tenure/version.h" &&
        grep -q '^ExecStart=/usr/bin/tenured' "$TMPDIR/stage/usr/lib/systemd/system/tenured.service"
}

export PKG_CONFIG_PATH=$prefix/$libdir/pkgconfig

pkg_config_dynamic() {
    # shellcheck disable=SC2046
    cc -std=c17 -Wall -Wextra -Werror "$consumer/consumer.c" -o "$TMPDIR/dynamic" \
        $(pkg-config --cflags --libs tenure) &&
        LD_LIBRARY_PATH=$prefix/$libdir "$TMPDIR/dynamic"
}

pkg_config_static() {
    # shellcheck disable=SC2046
    cc -std=c17 "$consumer/consumer.c" -o "$TMPDIR/static" $(pkg-config --cflags tenure) \
        "$prefix/$libdir/libtenure.a" \
        $(pkg-config --static --libs tenure | sed 's/-ltenure//') &&
        ! readelf -d "$TMPDIR/static" | grep libtenure && "$TMPDIR/static"
}

pkg_config_version_is_the_header_s() {
    local version
    version=$(sed -n 's/.*TN_VERSION_TEXT "\(.*\)"/\1/p' "$prefix/include/tenure/version.h")
    test -n "$version" && test "$(pkg-config --modversion tenure)" = "$version"
}

cmake_package() {
    cmake -S "$consumer" -B "$TMPDIR/consumer" -DCMAKE_PREFIX_PATH="$prefix" &&
        cmake --build "$TMPDIR/consumer" && "$TMPDIR/consumer/consumer" &&
        "$TMPDIR/consumer/consumer_static"
}

check succeeds_and_can_be_moved install_and_move
check has_every_public_header headers_are_all_there
check has_every_program_and_its_manual_page every_program_is_there_with_its_page
check has_well_formed_manual_pages pages_are_well_formed
check has_completions_that_parse completions_parse
check leaves_no_trace_of_where_it_was_built texts_name_no_place
check configures_the_systemd_unit unit_names_the_program
if ! command -v systemd-analyze >/dev/null; then
    skip has_a_unit_that_systemd_understands "no systemd-analyze here"
else
    check has_a_unit_that_systemd_understands unit_is_understood
fi
check stages_below_destdir staged_files_lie_below_destdir
check gives_a_dynamic_program_by_pkg_config pkg_config_dynamic
check gives_a_static_program_by_pkg_config pkg_config_static
check tells_its_version_to_pkg_config pkg_config_version_is_the_header_s
check gives_both_programs_by_cmake cmake_package
echo "1..$count"
exit $((failed > 0))

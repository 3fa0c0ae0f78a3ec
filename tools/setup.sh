#!/bin/sh
# Installs the Debian packages that a build needs and this machine lacks.
#
#   tools/setup.sh [SET...]     the packages of every build, and those of the sets named
#
# Silent and instant when nothing is missing. Otherwise: as root, or by sudo where that asks for
# nothing or can ask at a terminal, apt-get installs them; else one line names them, status 1.
# A system without dpkg is left alone: CMake then says what it does not find.
set -eu
cd "$(dirname "$0")/.."

wanted=$(awk -v sets=" $* " '/^[^#]/ && (NF == 1 || index(sets, " " $2 " ")) { print $1 }' \
    tools/packages.txt)
command -v dpkg-query >/dev/null 2>&1 || exit 0

# One query for all: a package that dpkg never heard of is only a complaint on stderr.
# shellcheck disable=SC2086
present=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' $wanted 2>/dev/null |
    sed -n 's/^installed //p') || true
missing=
for package in $wanted; do
    case "
$present
" in
    *"
$package
"*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
    as_root=env
elif sudo -n true 2>/dev/null; then
    as_root='sudo -n env'
elif [ -t 0 ] && command -v sudo >/dev/null 2>&1; then
    as_root='sudo env'
else
    echo "tenure needs these Debian packages; as root: apt-get install$missing" >&2
    exit 1
fi

echo "installing:$missing"
mkdir -p build
log=build/setup.log
install="apt-get install -y -q --no-install-recommends$missing"
# shellcheck disable=SC2086
if ! { $as_root apt-get update -q && $as_root DEBIAN_FRONTEND=noninteractive $install; } \
    </dev/null >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "apt-get failed ($log); tenure needs these Debian packages:$missing" >&2
    exit 1
fi

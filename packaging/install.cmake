# What `cmake --install` puts where. The result can be moved as a whole: pkg-config and CMake find
# their way from the file they read, so no prefix stands in them. Two places need the real prefix,
# known only when installing: the systemd unit, and nothing else.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(packaging ${CMAKE_CURRENT_LIST_DIR})
set(configured ${CMAKE_BINARY_DIR}/packaging)

# The library, for those who link it dynamically (tenure::tenure) and statically
# (tenure::tenure_static). Two export sets: only the static one needs the libraries below it.
foreach(kind shared static)
    target_include_directories(tenure_${kind} INTERFACE
        $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
set_target_properties(tenure_shared PROPERTIES EXPORT_NAME tenure)
install(TARGETS tenure_shared EXPORT tenureTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS tenure_static EXPORT tenureStaticTargets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/tenure DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.h")

# CMake package files.
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tenure)
configure_package_config_file(${packaging}/tenureConfig.cmake.in ${configured}/tenureConfig.cmake
    INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${configured}/tenureConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES ${configured}/tenureConfig.cmake ${configured}/tenureConfigVersion.cmake
    DESTINATION ${package_dir})
install(EXPORT tenureTargets NAMESPACE tenure:: DESTINATION ${package_dir})
install(EXPORT tenureStaticTargets NAMESPACE tenure:: DESTINATION ${package_dir})

# pkg-config: the prefix is where the file lies, less the path from the prefix to it.
file(RELATIVE_PATH TN_PREFIX_FROM_PKGCONFIG /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
configure_file(${packaging}/tenure.pc.in ${configured}/tenure.pc @ONLY)
install(FILES ${configured}/tenure.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# Programs.
foreach(program tenured tenure tenure_sim)
    if(TARGET program_${program})
        install(TARGETS program_${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    endif()
endforeach()

# Manual pages, by section; bash completion.
foreach(section 1 3 5 7 8)
    file(GLOB pages CONFIGURE_DEPENDS man/*.${section})
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
file(GLOB completions CONFIGURE_DEPENDS ${packaging}/completion/*)
install(FILES ${completions} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)

# The systemd unit names the program by its full path, so it is configured when installing.
install(CODE "
    set(TN_BINDIR \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
    configure_file(\"${packaging}/systemd/tenured.service.in\"
        \"${configured}/tenured.service\" @ONLY)
")
install(FILES ${configured}/tenured.service DESTINATION lib/systemd/system)
install(FILES LICENSE CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

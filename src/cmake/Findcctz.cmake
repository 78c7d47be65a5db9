# SPDX-License-Identifier: Apache-2.0
# cctz as the distributions package it, without a CMake package of its own. Gives the target cctz::cctz.
find_path(cctz_INCLUDE_DIR cctz/time_zone.h)
find_library(cctz_LIBRARY cctz)
mark_as_advanced(cctz_INCLUDE_DIR cctz_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(cctz REQUIRED_VARS cctz_LIBRARY cctz_INCLUDE_DIR
    REASON_FAILURE_MESSAGE "install libcctz-dev, or configure with -DMEMFS_CACHE_TIME_ZONES=OFF for UTC only")
if(cctz_FOUND AND NOT TARGET cctz::cctz)
    add_library(cctz::cctz UNKNOWN IMPORTED)
    set_target_properties(cctz::cctz PROPERTIES
        IMPORTED_LOCATION "${cctz_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${cctz_INCLUDE_DIR}")
endif()

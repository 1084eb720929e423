# Two repairs for ROS 2 installed as Python wheels. On a ROS installation both change nothing.

# 1. No setup script has been sourced, so nothing names the prefix that holds the ament index.
function(ros_wheels_set_prefix)
  if(NOT DEFINED ENV{AMENT_PREFIX_PATH})
    find_package(ament_cmake QUIET)
    if(ament_cmake_FOUND)
      get_filename_component(_prefix "${ament_cmake_DIR}/../../.." ABSOLUTE)
      set(ENV{AMENT_PREFIX_PATH} "${_prefix}")
    endif()
  endif()
endfunction()

# 2. The exported targets name include directories of the machine that built the wheels, which CMake refuses.
# Call it after find_package of the message packages and before rosidl_generate_interfaces.
function(ros_wheels_drop_foreign_includes)
  foreach(_package ${ARGN})
    set(_target ${_package}::${_package}__rosidl_generator_py)
    if(TARGET ${_target})
      get_target_property(_directories ${_target} INTERFACE_INCLUDE_DIRECTORIES)
      set(_kept "")
      foreach(_directory ${_directories})
        if(EXISTS "${_directory}" OR _directory MATCHES "\\$<")
          list(APPEND _kept "${_directory}")
        endif()
      endforeach()
      set_target_properties(${_target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_kept}")
    endif()
  endforeach()
endfunction()

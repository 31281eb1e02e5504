# flags: one interface target that carries the language, the warnings and the hardening.
include(CheckCCompilerFlag)
include(CheckCSourceCompiles)
include(CheckLinkerFlag)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_library(flags INTERFACE)
target_compile_definitions(flags INTERFACE _GNU_SOURCE FETCHBACK_VERSION="${PROJECT_VERSION}")
target_compile_options(flags INTERFACE -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes
	-Wmissing-prototypes -Wformat=2 -Wconversion -fno-omit-frame-pointer
	$<$<BOOL:${FETCHBACK_WERROR}>:-Werror>)

if(FETCHBACK_SANITIZE)
	target_compile_options(flags INTERFACE -fsanitize=${FETCHBACK_SANITIZE} -fno-sanitize-recover=all)
	target_link_options(flags INTERFACE -fsanitize=${FETCHBACK_SANITIZE})
else()
	foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection)
		string(MAKE_C_IDENTIFIER "HAVE${flag}" have)
		check_c_compiler_flag(${flag} ${have})
		if(${have})
			target_compile_options(flags INTERFACE ${flag})
		endif()
	endforeach()
	# 3 also checks sizes that are known only when it runs; what does not know it has 2.
	set(CMAKE_REQUIRED_FLAGS "-O2 -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
	check_c_source_compiles("#include <stdio.h>
		#if !defined(__USE_FORTIFY_LEVEL) || __USE_FORTIFY_LEVEL < 3
		#error 2 is all there is
		#endif
		int main(void) { return 0; }" HAVE_FORTIFY_SOURCE_3)
	unset(CMAKE_REQUIRED_FLAGS)
	if(HAVE_FORTIFY_SOURCE_3)
		set(fortify 3)
	else()
		set(fortify 2)
	endif()
	target_compile_options(flags INTERFACE
		$<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE$<SEMICOLON>-D_FORTIFY_SOURCE=${fortify}>)
	foreach(flag -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
		string(MAKE_C_IDENTIFIER "HAVE${flag}" have)
		check_linker_flag(C ${flag} ${have})
		if(${have})
			target_link_options(flags INTERFACE ${flag})
		endif()
	endforeach()
endif()

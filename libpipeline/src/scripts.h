/* scripts: the verbs of libpipeline/lua, embedded by cmake/embed.cmake. */
#ifndef PIPELINE_SCRIPTS_H
#define PIPELINE_SCRIPTS_H

extern const char pl_lua_lib[]; /* functions shared by all verbs, put before each */

#endif

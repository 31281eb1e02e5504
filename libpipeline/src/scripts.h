/* scripts: the verbs of libpipeline/lua, embedded by cmake/embed.cmake. */
#ifndef PIPELINE_SCRIPTS_H
#define PIPELINE_SCRIPTS_H

extern const char pl_lua_lib[]; /* functions shared by all verbs, put before each */
extern const char pl_lua_push[];
extern const char pl_lua_register[];
extern const char pl_lua_reserve[];
extern const char pl_lua_recover[];
extern const char pl_lua_settle[];
extern const char pl_lua_beat[];
extern const char pl_lua_leave[];
extern const char pl_lua_find[];
extern const char pl_lua_list[];
extern const char pl_lua_alter[];
extern const char pl_lua_refetch[];
extern const char pl_lua_stage[];
extern const char pl_lua_queues[];
extern const char pl_lua_retain[];
extern const char pl_lua_limits[];
extern const char pl_lua_doctor[];
extern const char pl_lua_chunk[];
extern const char pl_lua_datakey[];
extern const char pl_lua_wake[];
extern const char pl_lua_watch[];

#endif

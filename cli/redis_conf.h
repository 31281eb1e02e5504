/* redis_conf: config/redis.conf as it was when this program was built, NUL-terminated. */
#ifndef CLI_REDIS_CONF_H
#define CLI_REDIS_CONF_H

extern const char redis_conf[];

#endif

#!/bin/sh
# Redis in its container, REDIS_MEMORY as `fetchback up` takes it: 2GiB, 2GB or bytes, in any case of
# letters. Redis itself knows no 2GiB, and its 2gb is our 2GiB.
set -eu

KIB=1024
MIN=$((16 * KIB * KIB))
MAX=$((1 << 50))

refuse() {
	echo "REDIS_MEMORY: \"$REDIS_MEMORY\" is no size from 16MiB to 1024TiB, such as 2GiB, 2GB or bytes" >&2
	exit 100
}

# bytes_of NUMBER UNIT
bytes_of() {
	[ ${#1} -le 16 ] && [ "$1" -le $((MAX / $2)) ] || refuse
	echo $(($1 * $2))
}

: "${REDIS_MEMORY:=1GiB}"
digits=${REDIS_MEMORY%%[!0-9]*}
[ -n "$digits" ] || refuse
number=${digits#"${digits%%[!0]*}"} # without the zeros in front: the shell's arithmetic would read octal
: "${number:=0}"
case ${REDIS_MEMORY#"$digits"} in
[Tt][Ii][Bb]) unit=$((KIB * KIB * KIB * KIB)) ;;
[Gg][Ii][Bb]) unit=$((KIB * KIB * KIB)) ;;
[Mm][Ii][Bb]) unit=$((KIB * KIB)) ;;
[Kk][Ii][Bb]) unit=$KIB ;;
[Tt][Bb]) unit=1000000000000 ;;
[Gg][Bb]) unit=1000000000 ;;
[Mm][Bb]) unit=1000000 ;;
[Kk][Bb]) unit=1000 ;;
[Bb] | '') unit=1 ;;
*) refuse ;;
esac
bytes=$(bytes_of "$number" "$unit")
[ "$bytes" -ge $MIN ] || refuse
exec redis-server /etc/fetchback/redis.conf --protected-mode no --maxmemory "$bytes" "$@"

# A Debian machine with systemd, the programs in place and the rest as in the sources, not yet installed.
FROM debian:bookworm-slim
RUN apt-get update \
	&& apt-get install -y --no-install-recommends systemd ca-certificates libhiredis0.14 libcurl4 \
		libcivetweb1 libuv1 libjansson4 libssl3 libc-ares2 zlib1g procps redis-tools \
	&& rm -rf /var/lib/apt/lists/* \
	&& ln -s redis-check-rdb /usr/bin/redis-server
COPY --from=fetchback-kept-build /fetchback/bin/ /usr/local/bin/
WORKDIR /source
# An engine gives its containers a cgroup that they may only look at.
ENTRYPOINT ["sh", "-c", "mount -o remount,rw /sys/fs/cgroup; exec /lib/systemd/systemd"]

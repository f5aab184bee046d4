# The daemon's image, for those who have Docker; the same content as `make image` makes without it.
#   docker build -f deploy/image/daemon.Dockerfile -t tidb-volume/daemon:0.1.0 .
FROM debian:bookworm-slim AS wheels
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-pip
COPY deploy/image/daemon.lock /lock
RUN pip install --require-hashes --no-deps --no-compile --only-binary=:all: --target=/site -r /lock \
 && rm -rf /site/bin /site/kubernetes/aio
COPY tidb_volume /site/tidb_volume
COPY disk_daemon /site/disk_daemon
# Its root is read-only: bytecode is made here, and not compared with times that a copy changes.
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash \
      -s /site -p /usr/local/lib/python3.11/dist-packages /site
RUN printf '#!/usr/bin/python3\nimport sys\n\nfrom disk_daemon.__main__ import main\n\nsys.exit(main())\n' \
      > /disk-daemon && chmod 755 /disk-daemon

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 xfsprogs e2fsprogs util-linux \
 && rm -rf /var/lib/apt/lists/* \
 && rm /usr/bin/sh /usr/bin/dash /usr/bin/bash /usr/bin/rbash
COPY --from=wheels /site /usr/local/lib/python3.11/dist-packages
COPY --from=wheels /disk-daemon /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/disk-daemon"]

# A worker: the static binary, a folder for its cache of shards and one for
# temporary files; see coordinator.Dockerfile.
FROM scratch
ADD folders.tar /
COPY worker /worker
USER 65532:65532
ENTRYPOINT ["/worker"]
CMD ["--cache", "/cache"]

# The nats-server that tools/go.mod pins, with Convoy's settings; see
# coordinator.Dockerfile.
FROM scratch
ADD folders.tar /
COPY nats-server nats.conf /
USER 65532:65532
EXPOSE 4222
ENTRYPOINT ["/nats-server"]
CMD ["--config", "/nats.conf"]

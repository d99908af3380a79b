# A coordinator: the static binary, a folder for its data and one for temporary
# files. Nothing is pulled and nothing is run to build it; `make images` puts the
# binary and folders.tar (which carries the folders' owner) into the context.
FROM scratch
ADD folders.tar /
COPY coordinator /coordinator
USER 65532:65532
EXPOSE 7070 7071
VOLUME /data
ENTRYPOINT ["/coordinator"]
CMD ["serve", "--data", "/data", "--listen", "0.0.0.0:7070"]

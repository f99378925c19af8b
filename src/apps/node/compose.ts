import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { CodedError } from '#control/coded-error.ts';
import { DENIAL_LIMIT, fitReport, type NodeReport } from '#control/report.ts';
import { SnapshotKeeper } from '#io/control-client/snapshot-keeper.ts';
import { ControlSession } from '#io/control-client/control-session.ts';
import { joinMesh } from '#io/control-client/join.ts';
import { renewIdentity, runRenewal } from '#io/control-client/renewal.ts';
import { formatHostPort, type HostPort, parseHostPort } from '#io/edge-listener/host-port.ts';
import { listenFailure } from '#io/edge-listener/listen-failure.ts';
import type { Listener } from '#io/edge-listener/tcp-listener.ts';
import { loadSnapshot, saveIdentity, saveSnapshot, type StoredIdentity } from '#io/files-node/identity-files.ts';
import { readPrivateFile, writePrivateFile } from '#io/files-node/private-files.ts';
import { openHttpProxy } from '#io/http-proxy/http-proxy.ts';
import { openLog } from '#io/log-pino/log.ts';
import { MemoryKeeper } from '#io/memory-collector/memory-keeper.ts';
import { openNodeAdmin } from '#io/node-admin-http/node-admin-server.ts';
import { CedarEvaluator } from '#io/policy-cedar/cedar-evaluator.ts';
import { openSocks5Proxy } from '#io/socks5-proxy/socks5-proxy.ts';
import { TargetPolicy } from '#io/target-policy/target-policy.ts';
import { NO_TRACING, openTracing } from '#io/tracing-otlp/tracing.ts';
import { bytesEqual } from '#kernel/bytes.ts';
import { Freshness } from '#trust/freshness.ts';
import type { NodeConfig } from './config.ts';
import { credentialsOf } from './credentials.ts';
import { Forwards } from './edges.ts';
import { DETECTOR_PROFILES, startMeshRuntime } from './mesh-runtime.ts';
import { KeptSnapshot } from './kept-snapshot.ts';
import { programVersion } from '../control-plane/program-version.ts';
import { NodeDrain } from './node-drain.ts';
import { NodePolicy } from './node-policy.ts';
import { PolicyWarmUp } from './policy-warm-up.ts';
import { nodeMetrics } from './node-metrics.ts';
import { NodeQuestions } from './node-questions.ts';
import { connectInstance, ServiceOpener } from './service-opener.ts';
import { StreamTracing } from './stream-tracing.ts';
import { SessionLog } from './session-log.ts';

/** A node that runs. */
export interface RunningNode {
  readonly name: string;
  /** Fulfilled when its operator drained it and nothing needs it any more; it is to be stopped then. */
  readonly drained: Promise<void>;
  stop(): Promise<void>;
}

/** A control plane that is there answers sooner; without one a node starts all the same. */
const VERDICT_MS = 2_000;
/** Streams that begin and end here are decided again so often: no decision is made twice but after a change. */
const LOCAL_DECISIONS_MS = 500;

/**
 * Puts a node together, top to bottom, in a data directory that is already ours. Rejects with CERT_REVOKED when the control
 * plane answers that this identity was revoked.
 */
export async function composeNode(
  config: NodeConfig,
  signal: AbortSignal,
  log: Logger = createLog(),
): Promise<RunningNode> {
  const { dataDir, link, advertise } = config;
  let identity = await joinMesh({
    dataDir,
    token: config.join,
    addresses: advertise,
    controlAddress: config.control,
    onRetry: (error) => log.warn({ code: error.code }, error.message),
    signal,
  });
  let credentials = credentialsOf(identity);
  const incarnation = Date.now();
  const listen: Record<'link' | 'socks' | 'http' | 'admin', HostPort | undefined> = {
    link: undefined,
    socks: undefined,
    http: undefined,
    admin: undefined,
  };
  const targets = openTargetPolicy(config, () => [
    ...[listen.link, listen.socks, listen.http, listen.admin].flatMap((at) => at?.port ?? []),
    ...forwards.ports(),
    ...identity.controlAddresses.flatMap((address) => parseHostPort(address)?.port ?? []),
    ...config.protectPorts,
  ]);
  const isRelay = identity.grant.relay;
  if (config.relay && !isRelay) log.warn({ code: 'RELAY_NOT_GRANTED' }, 'the join token does not let this node relay');
  const tracing =
    config.traces === undefined
      ? NO_TRACING
      : await openTracing({
          ...config.traces,
          service: 'x0-node',
          instance: identity.name,
          warn: (message) => log.warn({ code: 'TRACES_UNSENT' }, message),
        });
  const streamTracing = new StreamTracing(tracing);
  const freshness = new Freshness(config.staleAfterMs);
  /** So the control plane answered. */
  let isRevoked = false;
  const evaluator = new CedarEvaluator();
  const policy = new NodePolicy({
    evaluator,
    newId: () => randomBytes(16).toString('hex'),
    wallMs: Date.now,
    nowMs: () => performance.now(),
    nextTurn: async () => nextTurn(),
    standDown: () =>
      isRevoked ? 'CERT_REVOKED' : freshness.isStale(performance.now(), Date.now()) ? 'SNAPSHOT_STALE' : undefined,
    onLoaded: () => decideAgain(),
  });
  const decideAgain = (): void => {
    node.streams.conduits.policy.check(Date.now());
    opener.decideAgain();
    driver.schedule();
  };
  const policyWarmUp = new PolicyWarmUp(evaluator, identity.name, isRelay);
  const runtime = await bound('--link', link, async () =>
    startMeshRuntime({
      credentials: () => credentials,
      incarnation,
      relay: isRelay,
      link,
      detector: DETECTOR_PROFILES[config.detector],
      connectTarget: async (instance, caller, service, trace) =>
        streamTracing.server(service, caller.name, trace, async () =>
          connectInstance(targets, instance, caller.spiffeId, service),
        ),
      policy,
      gossip: {
        isSigned: (header, signer) => keeper.isSigned(header, signer),
        believe: ({ header, body, signer }) => keeper.accept(header, body, signer).ok,
      },
      warn: (code, detail) => log.warn({ code }, detail),
    }),
  );
  const { node, driver } = runtime;
  if (link !== undefined) listen.link = { host: link.host, port: runtime.linkPort ?? link.port };
  const self = { name: identity.name, spiffeId: identity.spiffeId };
  const opener = new ServiceOpener({
    self,
    targets,
    directory: node.directory,
    policyReady: async () => policyWarmUp.ready(),
    denialOf: (service) => policy.denialOf(self.name, service),
    isDraining: () => node.isDraining,
    isElsewhere: (service) => node.streams.instances(service).length > 0,
    openElsewhere: async (service, trace) => driver.openService(service, trace),
    tracing: streamTracing,
  });
  const draining = new NodeDrain(node, driver, () => opener.localStreams);
  const forwards = new Forwards(opener, node.counters);
  const questions = new NodeQuestions({
    self: self.name,
    node,
    driver,
    targets,
    policy,
    localServices: () => opener.localServices(),
  });
  const listeners: Listener[] = [];
  const openEdge = async (option: string, at: HostPort | undefined, open: (at: HostPort) => Promise<Listener>) => {
    if (at === undefined) return undefined;
    const listener = await bound(option, at, async () => open(at));
    listeners.push(listener);
    return listener.address;
  };
  const edge = { opener, counters: node.counters };
  const sessionLog = new SessionLog(log, node.counters);
  const report = (): NodeReport => ({
    pid: process.pid,
    incarnation,
    relay: isRelay,
    listen: {
      link: textOf(listen.link),
      socks: textOf(listen.socks),
      http: textOf(listen.http),
      admin: textOf(listen.admin),
    },
    addresses: advertise,
    peers: questions.peers(),
    counters: { ...node.counters.toJSON(), ...node.linkState.counters.toJSON() },
    problems: [...sessionLog.problems(performance.now()), ...forwards.problems(), ...questions.problems()],
    drain: draining.state,
    droppedDenials: policy.droppedDenials,
    version: programVersion(),
    os: process.platform,
    snapshotVersion: keeper.current?.header.version ?? 0,
    snapshotIssuedAt: isoTime(keeper.current?.header.issuedAtMs),
  });
  const verdict = Promise.withResolvers<Error | undefined>();
  const { trustDomain, issuers, roots, controlAddresses } = identity;
  const kept = new KeptSnapshot((snapshot) => keep(() => saveSnapshot(dataDir, snapshot)));
  const keeper = new SnapshotKeeper({
    trustDomain,
    issuers,
    roots,
    wallMs: Date.now,
    onBelieved: ({ header, body: content, bodyBytes: body, signer }, isNewBody) => {
      freshness.handleBelieved(header.issuedAtMs, performance.now(), Date.now());
      // Also when nothing is new: a port that was taken may be free by now.
      forwards.handleSnapshot(content.forwards.filter((forward) => forward.node === self.name));
      if (isNewBody) policy.handleSnapshot(content, header.version);
      if (isNewBody) policyWarmUp.handleSnapshot(content);
      if (isNewBody) node.handleSnapshot(content, performance.now(), adoptIssuers(content.issuers));
      opener.decideAgain();
      node.handleBelieved({ header, body, signer }, '', performance.now());
      driver.schedule();
      kept.handleBelieved({ header, body, signer });
      if (isNewBody) session.reportNow();
    },
  });
  const session = new ControlSession({
    addresses: controlAddresses,
    trustDomain,
    roots,
    keeper,
    credentials: () => ({ certificateDer: identity.certificate.der, privateKey: identity.keys.privateKey }),
    report: () => ({ ...fitReport(report()), denials: policy.takeDenials(DENIAL_LIMIT) }),
    onRequest: async (op, args) => {
      if (op !== 'drain' && op !== 'undrain') return await questions.answer(op, args);
      const answer = op === 'drain' ? draining.start(args['graceSeconds']) : draining.cancel();
      log.info({ ...answer }, op);
      session.reportNow();
      return answer;
    },
    onReportRefused: (error) => log.warn({ code: error.code }, `the control plane refused a report: ${error.message}`),
    onState: (state, error) => {
      sessionLog.handleState(state, error, performance.now());
      if (state === 'up') isRevoked = false;
      if (error instanceof CodedError && error.code === 'CERT_REVOKED') {
        isRevoked = true;
        decideAgain();
      }
      verdict.resolve(error);
    },
  });
  const adoptIssuers = (issuers: readonly Uint8Array[]): boolean => {
    const known = identity.issuers;
    if (issuers.length === known.length && issuers.every((der) => known.some((each) => bytesEqual(each, der))))
      return false;
    const next = { ...identity, issuers };
    credentials = credentialsOf(next);
    identity = next;
    keep(() => saveIdentity(dataDir, next));
    return true;
  };
  /** A node whose disk is full still obeys a revocation; the control plane sends the snapshot again after a restart. */
  const keep = (save: () => void): void => {
    try {
      save();
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      log.warn({ code: error.code }, error.message);
    }
  };
  const adopt = (next: StoredIdentity): void => {
    const nextCredentials = credentialsOf(next);
    saveIdentity(dataDir, next);
    identity = next;
    credentials = nextCredentials;
  };
  const memory = new MemoryKeeper();
  const stop = async (): Promise<void> => {
    memory.close();
    policyWarmUp.close();
    draining.close();
    clearInterval(deciding);
    renewing.abort();
    await session.close();
    await Promise.all([...listeners.map(async (listener) => listener.close()), forwards.close()]);
    runtime.close();
    await tracing.close();
  };
  const renewing = new AbortController();
  const deciding = setInterval(() => opener.decideAgain(), LOCAL_DECISIONS_MS).unref();
  try {
    listen.socks = await openEdge('--socks', config.socks, async (at) => openSocks5Proxy(at, edge));
    listen.http = await openEdge('--http', config.http, async (at) => openHttpProxy(at, edge));
    const token = openAdminToken(dataDir);
    listen.admin = await openEdge('--admin', config.admin, async (at) =>
      openNodeAdmin(at, {
        token,
        answer: async (question, args) => (question === 'status' ? report() : questions.answer(question, args)),
        metrics: nodeMetrics({
          node,
          watchOf: (tunnel) => driver.watchOf(tunnel),
          snapshot: () => keeper.current?.header,
          notAfterMs: () => identity.certificate.notAfterMs,
          isControlUp: () => sessionLog.isUp,
        }),
      }),
    );
  } catch (error) {
    await stop();
    throw error;
  }
  const stored = loadSnapshot(dataDir);
  if (stored?.body !== undefined) keeper.accept(stored.header, stored.body, stored.signer);
  session.start();
  const refused = await Promise.race([verdict.promise, sleep(VERDICT_MS, undefined, { ref: false })]);
  if (refused instanceof CodedError && refused.code === 'CERT_REVOKED') {
    await stop();
    const what = `the identity of ${self.name} in ${dataDir} was revoked, or the name was admitted again elsewhere`;
    throw new CodedError(refused.code, what);
  }
  void runRenewal({
    current: () => identity.certificate,
    renew: async () =>
      renewIdentity({
        addresses: identity.controlAddresses,
        trustDomain: identity.trustDomain,
        roots: identity.roots,
        credentials: { certificateDer: identity.certificate.der, privateKey: identity.keys.privateKey },
        wallMs: Date.now,
        name: identity.name,
      }),
    onRenewed: ({ certificate, keys, issuers }) => {
      adopt({ ...identity, certificate, keys, issuers });
      node.handleTrustChanged(performance.now(), false);
      driver.schedule();
      session.reconnect();
      log.info({ serial: certificate.serial }, 'renewed the SVID');
    },
    onFailure: (error) => log.warn({ code: 'RENEWAL_FAILED' }, error.message),
    signal: renewing.signal,
  });
  log.info({ node: self.name, ...report().listen }, 'the node is ready');
  const drained = draining.done.then(async () => {
    log.info({ node: self.name }, 'the node is drained');
    await session.reportLast();
  });
  return { name: self.name, drained, stop };
}

function openTargetPolicy(config: NodeConfig, ownPorts: () => readonly number[]): TargetPolicy {
  try {
    return new TargetPolicy({ patterns: config.allowTargets, ownPorts });
  } catch (error) {
    if (error instanceof RangeError) throw new CodedError('USAGE', `--allow-target: ${error.message}`);
    throw error;
  }
}

/** What an HTTP header can carry. */
const ADMIN_TOKEN = /^[!-~]+$/;

/** The node's own administration credential, made at the first start. */
function openAdminToken(dataDir: string): string {
  const path = join(dataDir, 'admin.token');
  const present = readPrivateFile(path)?.toString('utf8').trim();
  if (present !== undefined && ADMIN_TOKEN.test(present)) return present;
  const token = randomBytes(32).toString('base64url');
  writePrivateFile(path, `${token}\n`);
  return token;
}

async function bound<T>(option: string, at: HostPort | undefined, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    throw at === undefined ? error : listenFailure(error, at, option);
  }
}

function isoTime(wallMs: number | undefined): string | null {
  return wallMs === undefined ? null : new Date(wallMs).toISOString();
}

function textOf(at: HostPort | undefined): string | null {
  return at === undefined ? null : formatHostPort(at);
}

/** JSON lines on standard error, without secrets. */
function createLog(): Logger {
  return openLog('x0-node', ['token', 'join', 'secret', '*.token', '*.join']);
}

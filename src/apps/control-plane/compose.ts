import { join } from 'node:path';
import type { Kysely } from 'kysely';
import type { Logger } from 'pino';
import { CodedError } from '#control/coded-error.ts';
import { LOCAL_POLICY_NAME, LOCAL_POLICY_TEXT, Policies } from '#control/policies/policies.ts';
import { AuditLog } from '#control/audit/audit-log.ts';
import { ControlPlane } from '#control/control-plane.ts';
import { PolicyAuthorizer } from '#control/policy-authorizer.ts';
import { type ApiLimits, ApiServer } from '#io/api-fastify/api-server.ts';
import { RefusalNotes } from '#io/api-fastify/refusal-notes.ts';
import { ControlServer } from '#io/control-https/control-server.ts';
import { formatHostPort } from '#io/edge-listener/host-port.ts';
import type { HostPort } from '#io/edge-listener/host-port.ts';
import { listenFailure } from '#io/edge-listener/listen-failure.ts';
import { writePrivateFile } from '#io/files-node/private-files.ts';
import { storageFailure } from '#io/files-node/storage-failure.ts';
import { openLog } from '#io/log-pino/log.ts';
import { MemoryKeeper } from '#io/memory-collector/memory-keeper.ts';
import { PolicyTrial } from '#control/policies/policy-trial.ts';
import { CedarEvaluator } from '#io/policy-cedar/cedar-evaluator.ts';
import { CedarChecker } from '#io/policy-cedar/cedar-checker.ts';
import { systemRandom } from '#io/random-node/system-random.ts';
import { KyselyAuditStore } from '#io/store-kysely/audit-store.ts';
import { KyselyControlStore } from '#io/store-kysely/control-store.ts';
import { KyselyJoinRequestStore } from '#io/store-kysely/join-request-store.ts';
import { openDatabase } from '#io/store-kysely/open-database.ts';
import { KyselyInventory } from '#io/store-kysely/inventory.ts';
import { QueryTimes } from '#io/store-kysely/query-times.ts';
import { KyselyPolicyStore } from '#io/store-kysely/policies-store.ts';
import type { Tables } from '#io/store-kysely/tables.ts';
import { certificatePort, signingPort } from '#io/x509-peculiar/control-ports.ts';
import { sha256Bytes } from '#io/x509-asn1/snapshot-verifier.ts';
import { hasAuthority, makeControlSvid, openAdminToken, openAuthority } from './authority-files.ts';
import type { AuthorityFiles } from './authority-files.ts';
import { NO_TRACING, openTracing, type Tracing } from '#io/tracing-otlp/tracing.ts';
import { controlMetrics } from './control-metrics.ts';
import { advertisedAddresses } from './config.ts';
import type { ControlConfig } from './config.ts';
import { Housekeeper } from './housekeeper.ts';
import { openAccounts } from './open-accounts.ts';
import { programVersion } from './program-version.ts';
import { Replicas } from './replicas.ts';
import { SnapshotNotices } from './snapshot-notices.ts';
import { openShared } from './shared.ts';

/** A control plane that serves. */
export interface RunningControl {
  /** `host:port` of the enrolment port as bound. */
  readonly enrolment: string;
  readonly admin: string;
  /** What tokens say. */
  readonly addresses: readonly string[];
  readonly rootSha256: string;
  /** With which the first admin registers; undefined when there is one. Never to be logged. */
  readonly firstCode: string | undefined;
  stop(): Promise<void>;
}

/** How often the snapshot's age is looked at; it is signed again when it is half a minute old. */
const PUBLISH_CHECK_MS = 5_000;
/** Where there may be other replicas, what they changed is looked for so often. */
const REPLICA_CHECK_MS = 500;
/** The longest wait that setTimeout takes. */
const TIMER_LIMIT_MS = 2 ** 31 - 1;
const nowMs = (): number => performance.now();

/** Puts the control plane together, top to bottom, in a data directory that is already ours. */
export async function composeControl(
  config: ControlConfig,
  log: Logger = createLog(),
  limits: Partial<ApiLimits> = {},
): Promise<RunningControl> {
  const { dataDir, trustDomain, svidLifeMs } = config;
  const queryTimes = new QueryTimes();
  const { root, issuer, token, database, store } = await openData(config, queryTimes);
  const shared = await openShared(config, log);
  const isAlone = config.database.kind === 'sqlite';
  const replicas = await Replicas.open(database, { root, issuer }, isAlone);
  const [issuers, roots] = [replicas.issuers, [root.certificate.der]];
  const rootSha256 = sha256Bytes(root.certificate.der);
  let svid = await makeControlSvid(issuer, trustDomain, svidLifeMs);
  let signer = signingPort(svid.certificate, svid.privateKey);
  const policies = openPolicies(config, database);
  const auditStore = new KyselyAuditStore(database);
  const audit = new AuditLog({
    store: auditStore,
    sha256: sha256Bytes,
    wallMs: Date.now,
    signer: () => ({ ...signer, issuer: issuer.certificate.der }),
  });
  const joinRequests = new KyselyJoinRequestStore(database);
  const control = new ControlPlane(
    {
      store,
      joinRequests,
      audit,
      policies,
      postureStore: new KyselyPolicyStore(database),
      replica: { id: replicas.id, live: () => replicas.live },
      certificates: certificatePort(issuer, svidLifeMs),
      random: systemRandom,
      sha256: sha256Bytes,
      signer: () => signer,
      wallMs: Date.now,
      nowMs,
    },
    { trustDomain, rootSha256, issuers, roots },
  );
  const credentials = { certificateDer: svid.certificate.der, privateKey: svid.privateKey };
  const clocks = { nowMs, wallMs: Date.now };
  const isPending = (): boolean => replicas.isPending;
  const refusals = new RefusalNotes(audit, nowMs, (error) =>
    log.error({ err: error }, 'the audit log was not written'),
  );
  const server = new ControlServer({
    control,
    trustDomain,
    issuers,
    roots,
    credentials,
    log,
    isPending,
    onRefused: async ({ block, address, code }) =>
      refusals.handle(`enrol ${block}`, {
        actor: 'stranger',
        action: 'nodes:enrol',
        target: address,
        outcome: 'denied',
        detail: { code },
      }),
    ...clocks,
  });
  const bound = { enrolment: '', admin: '', addresses: [] as readonly string[], rootSha256: rootSha256.toHex() };
  const evaluator = new CedarEvaluator();
  const tracing = await openTraces(config, log);
  const people = openAccounts(database, shared, new PolicyAuthorizer(evaluator, systemRandom));
  // Not the one that decides about the API: what operators try out may end it.
  const deciding = { evaluator: new CedarEvaluator(), newId: () => systemRandom.bytes(16).toHex(), wallMs: Date.now };
  const admin = new ApiServer({
    tracing,
    metrics: controlMetrics({
      control,
      database: queryTimes,
      shared,
      refused: () => server.refused.toJSON(),
      strangers: () => ({ open: server.strangers.strangerCount, refused: server.strangers.refusedCount }),
      notAfterMs: () => svid.certificate.notAfterMs,
      nowMs,
    }),
    trial: new PolicyTrial(deciding, () => control.publisher.current),
    control,
    hub: server.hub,
    audit,
    auditStore,
    joinRequests,
    inventory: new KyselyInventory(database),
    ...people,
    version: programVersion(),
    token,
    host: config.admin.host,
    limits,
    addresses: () => bound.addresses,
    self: () => ({
      pid: process.pid,
      trustDomain,
      enrolment: bound.enrolment,
      admin: bound.admin,
      rootSha256: bound.rootSha256,
      refused: server.refused.toJSON(),
      strangers: { open: server.strangers.strangerCount, refused: server.strangers.refusedCount },
    }),
    log,
  });
  const renewal = repeat(halfLifeMs(svidLifeMs), log, async () => {
    svid = await makeControlSvid(issuer, trustDomain, svidLifeMs);
    signer = signingPort(svid.certificate, svid.privateKey);
    server.setCredentials({ certificateDer: svid.certificate.der, privateKey: svid.privateKey });
    log.info({ serial: svid.certificate.serial }, 'the control plane renewed its own SVID');
  });
  const publishing = repeat(isAlone ? PUBLISH_CHECK_MS : REPLICA_CHECK_MS, log, async () => {
    if (await replicas.refresh())
      server.setCredentials({ certificateDer: svid.certificate.der, privateKey: svid.privateKey });
    await control.publish();
    if (await replicas.handlePublished(control.publisher.current, control.board))
      log.info('all nodes know the issuer of this control plane: it admits nodes from now on');
  });
  const notices = new SnapshotNotices(control, shared, (error) => log.error({ err: error }, 'a notice failed'));
  const housekeeper = new Housekeeper({ database, audit, log, id: replicas.id });
  const memory = new MemoryKeeper();
  const stop = async (): Promise<void> => {
    memory.close();
    clearInterval(renewal);
    clearInterval(publishing);
    notices.close();
    await Promise.all([server.close(), admin.close()]);
    await refusals.close();
    await audit.settled();
    await housekeeper.close();
    await replicas.close().catch((error: unknown) => log.warn({ err: error }, 'the database was not told of the end'));
    people.accounts.sessions.close();
    await Promise.all([shared.close(), database.destroy(), tracing.close()]);
  };
  try {
    await seedPolicies(policies, config, log);
    await control.publish();
    const port = await listen('--listen', config.listen, async ({ host, port: at }) => server.listen(host, at));
    const adminPort = await listen('--admin', config.admin, async ({ host, port: at }) => admin.listen(host, at));
    bound.enrolment = formatHostPort({ host: config.listen.host, port });
    bound.admin = formatHostPort({ host: config.admin.host, port: adminPort });
    bound.addresses = advertisedAddresses(config, port);
    writePrivateFile(join(dataDir, 'control.json'), `${JSON.stringify({ ...bound, trustDomain, pid: process.pid })}\n`);
  } catch (error) {
    await stop();
    throw storageFailure(error, dataDir);
  }
  log.info({ enrolment: bound.enrolment, admin: bound.admin }, 'the control plane is ready');
  return { ...bound, firstCode: await people.accounts.inviteFirst(), stop };
}

interface ControlData extends AuthorityFiles {
  /** The administration credential. */
  readonly token: string;
  readonly database: Kysely<Tables>;
  readonly store: KyselyControlStore;
}

/** The database first: keys without one then always mean that it was lost, not that the first start was cut short. */
async function openData(
  { dataDir, trustDomain, database: location }: ControlConfig,
  times: QueryTimes,
): Promise<ControlData> {
  const isKnown = hasAuthority(dataDir);
  const database = await openDatabase(location, isKnown, times);
  try {
    const store = new KyselyControlStore(database);
    if (!isKnown && (await store.countNodes()) > 0)
      throw new CodedError('DATA_INCOMPLETE', `${dataDir} has not the keys of the mesh whose nodes the database has`);
    // Of a first start that was cut short, whose keys nobody has seen.
    if (!isKnown && location.kind === 'sqlite') await database.deleteFrom('issuers').execute();
    const authority = await openAuthority(dataDir, trustDomain);
    return { ...authority, token: openAdminToken(dataDir), database, store };
  } catch (error) {
    await database.destroy();
    throw error;
  }
}

async function openTraces({ traces }: ControlConfig, log: Logger): Promise<Tracing> {
  if (traces === undefined) return NO_TRACING;
  const warn = (message: string): void => log.warn({ code: 'TRACES_UNSENT' }, message);
  return await openTracing({ ...traces, service: 'x0-control', instance: String(process.pid), warn });
}

function openPolicies({ isProduction }: ControlConfig, database: Kysely<Tables>): Policies {
  const checker = new CedarChecker();
  const ports = {
    store: new KyselyPolicyStore(database),
    check: (text: string) => checker.check(text),
    wallMs: Date.now,
  };
  return new Policies(ports, { isProduction });
}

/** Nothing is allowed unless a policy says so: one that says it of all is put there once, by who asks for it, and never in production. */
async function seedPolicies(policies: Policies, { allowMembers }: ControlConfig, log: Logger): Promise<void> {
  if (await policies.dropLocalPolicy()) log.warn(`${LOCAL_POLICY_NAME} is deleted: this is production`);
  if (!allowMembers) return;
  const change = { name: LOCAL_POLICY_NAME, text: LOCAL_POLICY_TEXT, enabled: true, by: 'start', expected: 0 };
  if ((await policies.versions(LOCAL_POLICY_NAME)).ok) return;
  const seeded = await policies.put(change);
  if (!seeded.ok) throw new CodedError(seeded.error.code, seeded.error.message);
}

/** JSON lines on standard error. Secrets are never passed to it; these paths are a second lock. */
export function createLog(): Logger {
  return openLog('x0-control', ['token', 'secret', 'body', 'headers', '*.token', '*.secret']);
}

function halfLifeMs(lifeMs: number): number {
  return Math.min(TIMER_LIMIT_MS, (lifeMs / 2) * (0.9 + 0.1 * systemRandom.fraction()));
}

function repeat(everyMs: number, log: Logger, work: () => Promise<void>): NodeJS.Timeout {
  const timer = setInterval(() => {
    work().catch((error: unknown) => log.error({ err: error }, 'a periodic task failed; it is tried again'));
  }, everyMs);
  return timer.unref();
}

async function listen(option: string, at: HostPort, bind: (at: HostPort) => Promise<number>): Promise<number> {
  try {
    return await bind(at);
  } catch (error) {
    throw listenFailure(error, at, option);
  }
}

/** Kills a control plane again and again while it is written to, and looks after each start what became of the writes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RandomSource } from '#kernel/random.ts';
import { AuditVerifier, type AuditEntry } from '#control/audit/chain.ts';
import { CodedError } from '#control/coded-error.ts';
import { AdminClient, isObject, type JsonObject } from '#io/admin-client-http/admin-client.ts';
import { writeCursor } from '#io/api-fastify/page.ts';
import { joinMesh } from '#io/control-client/join.ts';
import { sha256Bytes } from '#io/x509-asn1/snapshot-verifier.ts';
import { CLONE, runX0, X0Process } from '../harness/x0-process.ts';
import { objectsAt, WRITERS, type Writer, type WriterKind } from './control-writers.ts';

export interface KillPlan {
  readonly kills: number;
  /** Of the database; SQLite without. */
  readonly databaseUrl: string | undefined;
  readonly random: RandomSource;
  onKill?(kill: number, acknowledged: number): void;
}

export interface KillReport {
  readonly kills: number;
  /** Writes that were answered. */
  readonly acknowledged: number;
  /** Writes that were under way when the process was killed, and those of them that are there all the same. */
  readonly cut: number;
  readonly cutButThere: number;
  readonly auditEntries: number;
  /** From the start of the process to its first answer, the longest. */
  readonly startMostMs: number;
}

/** The process is killed so long after the writers began. */
const KILL_LEAST_MS = 20;
const KILL_MOST_MS = 700;
const PAGE = 200;

/** Throws at the first acknowledged write that is not there, or not in the audit log, or when that log is not whole. */
export async function killControl(plan: KillPlan): Promise<KillReport> {
  const campaign = new KillCampaign(plan);
  try {
    return await campaign.run();
  } catch (error) {
    throw new Error(`after a kill; the control plane said:\n${campaign.output}`, { cause: error });
  } finally {
    await campaign.close();
  }
}

class KillCampaign {
  readonly #plan: KillPlan;
  readonly #folder = mkdtempSync(join(tmpdir(), 'x0-kills-'));
  readonly #dataDir = join(this.#folder, 'control');
  readonly #client = new AdminClient(this.#dataDir);
  readonly #stranger = new AdminClient(this.#dataDir, { isOpen: true });
  readonly #writers: readonly Writer[] = WRITERS.map((make, index) => make(index));
  readonly #verifier = new AuditVerifier([], { sha256: sha256Bytes, isSigned: () => true });
  /** Of each action and target: how often the log says that it was done. */
  readonly #logged = new Map<string, number>();
  #entries = 0;
  #control: X0Process | undefined;
  #startMostMs = 0;
  #pid = 0;

  constructor(plan: KillPlan) {
    this.#plan = plan;
  }

  async run(): Promise<KillReport> {
    await this.#start();
    await this.#admit('oslo');
    for (let kill = 1; kill <= this.#plan.kills; kill++) {
      await this.#writeAndKill();
      await this.#start();
      await this.#check();
      this.#plan.onKill?.(kill, this.#acknowledged);
    }
    const verified = runX0(CLONE, ['audit', 'verify', '--data-dir', this.#dataDir]);
    if (verified.status !== 0) throw new Error(`x0 audit verify: ${verified.stderr}`);
    const sum = (count: (writer: Writer) => number): number =>
      this.#writers.reduce((all, writer) => all + count(writer), 0);
    return {
      kills: this.#plan.kills,
      acknowledged: this.#acknowledged,
      cut: sum(({ cut }) => cut),
      cutButThere: sum(({ cutButThere }) => cutButThere),
      auditEntries: this.#entries,
      startMostMs: this.#startMostMs,
    };
  }

  async close(): Promise<void> {
    await this.#control?.end('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get output(): string {
    return this.#control?.output ?? '';
  }

  get #acknowledged(): number {
    return this.#writers.reduce((all, { acknowledged }) => all + acknowledged, 0);
  }

  async #start(): Promise<void> {
    const beganMs = performance.now();
    const listeners = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
    const environment = { DATABASE_URL: this.#plan.databaseUrl ?? '', REDIS_URL: '' };
    this.#control = new X0Process(CLONE, ['control', '--data-dir', this.#dataDir, ...listeners], environment);
    await this.#control.says(/the control plane is ready/);
    const { control } = await this.#client.ask('GET', '/status');
    this.#pid = isObject(control) ? Number(control['pid']) : 0;
    this.#startMostMs = Math.max(this.#startMostMs, performance.now() - beganMs);
  }

  async #admit(node: string): Promise<void> {
    const { token } = await this.#client.ask('POST', '/tokens', { node });
    await joinMesh({
      token: String(token),
      dataDir: join(this.#folder, node),
      addresses: [],
      controlAddress: undefined,
      onRetry: () => undefined,
      signal: AbortSignal.timeout(10_000),
    });
  }

  /** The writers end by themselves, each with the write that the kill cut short. */
  async #writeAndKill(): Promise<void> {
    const ask = { client: this.#client, stranger: this.#stranger };
    const writing = Promise.all(this.#writers.map(async (writer) => runUntilCut(writer, ask)));
    const spread = KILL_MOST_MS - KILL_LEAST_MS;
    await sleep(KILL_LEAST_MS + spread * this.#plan.random.fraction());
    // The launcher passes signals on, but not this one: the program itself is to be killed.
    process.kill(this.#pid, 'SIGKILL');
    await writing;
    await this.#control?.end('SIGKILL');
  }

  async #check(): Promise<void> {
    await this.#readLog();
    const seen = new Map<WriterKind, readonly JsonObject[]>();
    for (const kind of ['tokens', 'services', 'policies', 'users'] as const)
      seen.set(kind, objectsAt(await this.#client.askAll(`/${kind}`, kind), kind));
    for (const writer of this.#writers) writer.check(seen.get(writer.kind) ?? [], this.#logged);
  }

  async #readLog(): Promise<void> {
    for (;;) {
      const from = this.#entries === 0 ? '' : `&cursor=${writeCursor(String(this.#entries))}`;
      const { entries } = await this.#client.ask('GET', `/audit?limit=${PAGE}${from}`);
      const found = (Array.isArray(entries) ? entries : []) as readonly AuditEntry[];
      for (const entry of found) {
        const fault = this.#verifier.handleEntry(entry);
        if (fault !== undefined) throw new Error(`the audit log is not whole: ${fault.code} at ${fault.seq}`);
        const { action, target, outcome } = entry.body;
        const key = `${action} ${target}`;
        if (outcome === 'done') this.#logged.set(key, (this.#logged.get(key) ?? 0) + 1);
      }
      this.#entries += found.length;
      if (found.length < PAGE) return;
    }
  }
}

async function runUntilCut(writer: Writer, ask: { client: AdminClient; stranger: AdminClient }): Promise<void> {
  for (;;) {
    try {
      await writer.write(ask);
    } catch (error) {
      if (error instanceof CodedError && error.code === 'CONTROL_UNREACHABLE') return;
      throw error;
    }
  }
}

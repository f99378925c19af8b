import { ok } from '#kernel/result.ts';
import type { Result } from '#kernel/result.ts';
import type { SnapshotForward } from '#trust/snapshot.ts';
import { checkName, checkTarget, usableAddresses } from '#control/input.ts';
import { FORWARD_LIMIT, INSTANCE_LIMIT } from '#control/limits.ts';
import type { WallClock } from '#control/ports.ts';
import { refuse } from '#control/refusal.ts';
import type { Refusal } from '#control/refusal.ts';
import type { ControlStore, StoredInstance, StoredNode } from '#control/store.ts';

/** What publishing an instance would mean. */
export interface ForeseenInstance {
  /** The node's earlier target for the service. */
  readonly replaced: StoredInstance | undefined;
  /** Forwards that listen where the instance leads: where both nodes share a host that is a loop. */
  readonly loops: readonly SnapshotForward[];
}

/** Every node reports each second; the database is asked so often whether another replica stored something else. */
const SEEN_MS = 30_000;

/** What operators change after admission: revocation, services and local forwards. */
export class Registry {
  readonly #store: ControlStore;
  readonly #wallMs: WallClock;
  /** What was stored when it was last looked at, for nodes that said the same; as many as there are nodes. */
  readonly #seen = new Map<string, { readonly addresses: string; readonly atMs: number }>();

  constructor(store: ControlStore, wallMs: WallClock) {
    this.#store = store;
    this.#wallMs = wallMs;
  }

  async revokeNode(name: string): Promise<Result<void, Refusal>> {
    return (await this.#store.revokeNode(name, this.#wallMs())) ? ok(undefined) : unknownNode(name);
  }

  async deleteNode(name: string): Promise<Result<void, Refusal>> {
    this.#seen.delete(name);
    return (await this.#store.deleteNode(name, this.#wallMs())) ? ok(undefined) : unknownNode(name);
  }

  /** Publishes `service` at a node, replacing that node's earlier target for it. */
  async putInstance(instance: StoredInstance): Promise<Result<void, Refusal>> {
    const checked = checkName(instance.service, 'a service');
    if (!checked.ok) return checked;
    const target = checkTarget(instance.host, instance.port);
    if (!target.ok) return target;
    const node = await this.#liveNode(instance.node);
    if (!node.ok) return node;
    const { loops } = await this.foreseeInstance(instance);
    if (loops.some((forward) => forward.node === instance.node)) {
      return refuse('TARGET_NOT_ALLOWED', `${instance.node} listens there itself, for a forward`);
    }
    const all = await this.#store.listInstances();
    const replaces = all.some((it) => it.service === instance.service && it.node === instance.node);
    if (all.length >= INSTANCE_LIMIT && !replaces)
      return refuse('LIMIT_REACHED', `at most ${INSTANCE_LIMIT} instances`);
    await this.#store.putInstance(instance);
    return ok(undefined);
  }

  /** What {@link Registry.putInstance} would replace, and what speaks against it. */
  async foreseeInstance({ service, node, host, port }: StoredInstance): Promise<ForeseenInstance> {
    const [instances, forwards] = await Promise.all([this.#store.listInstances(), this.#store.listForwards()]);
    return {
      replaced: instances.find((it) => it.service === service && it.node === node),
      loops: forwards.filter((forward) => forward.port === port && isSameListener(forward.host, host)),
    };
  }

  async deleteInstance(service: string, node: string): Promise<Result<void, Refusal>> {
    if ((await this.#store.findNode(node)) === undefined) return unknownNode(node);
    if (await this.#store.deleteInstance(service, node)) return ok(undefined);
    return refuse('SERVICE_UNKNOWN', `${node} does not publish ${service}`);
  }

  /** Opens `forward` at its node; the same forward again changes nothing, another address for it is refused. */
  async putForward(forward: SnapshotForward): Promise<Result<void, Refusal>> {
    const judged = await this.judgeForward(forward);
    if (judged.ok) await this.#store.putForward(forward);
    return judged.ok ? ok(undefined) : judged;
  }

  /** Whether {@link Registry.putForward} would take `forward`; true when it is stored already. */
  async judgeForward(forward: SnapshotForward): Promise<Result<boolean, Refusal>> {
    const checked = checkName(forward.service, 'a service');
    if (!checked.ok) return checked;
    const target = checkTarget(forward.host, forward.port);
    if (!target.ok) return target;
    const node = await this.#liveNode(forward.node);
    if (!node.ok) return node;
    const all = await this.#store.listForwards();
    const here = all.filter((it) => it.node === forward.node);
    const same = here.find((it) => it.service === forward.service);
    const taken = here.find((it) => it.host === forward.host && it.port === forward.port);
    if (same !== undefined && same === taken) return ok(true);
    if (same !== undefined) {
      return refuse(
        'FORWARD_EXISTS',
        `${same.node} forwards ${same.service} already, at ${same.host} port ${same.port}`,
      );
    }
    if (taken !== undefined) return refuse('FORWARD_ADDRESS_TAKEN', `that address already forwards ${taken.service}`);
    if (all.length >= FORWARD_LIMIT) return refuse('LIMIT_REACHED', `at most ${FORWARD_LIMIT} forwards`);
    const instances = await this.#store.listInstances();
    if (instances.some((it) => it.service === forward.service)) return ok(false);
    return refuse('SERVICE_UNKNOWN', `no node publishes ${forward.service}`);
  }

  async deleteForward(node: string, service: string): Promise<Result<void, Refusal>> {
    if ((await this.#store.findNode(node)) === undefined) return unknownNode(node);
    if (await this.#store.deleteForward(node, service)) return ok(undefined);
    return refuse('FORWARD_UNKNOWN', `${node} has no forward for ${service}`);
  }

  /** Whether a node says other addresses than are stored. */
  async hasMoved(name: string, addresses: readonly string[]): Promise<boolean> {
    const said = JSON.stringify(usableAddresses(addresses));
    const seen = this.#seen.get(name);
    const sinceMs = this.#wallMs() - (seen?.atMs ?? 0);
    if (seen?.addresses === said && sinceMs >= 0 && sinceMs < SEEN_MS) return false;
    const node = await this.#store.findNode(name);
    const isSame = node !== undefined && JSON.stringify(node.addresses) === said;
    if (isSame) this.#seen.set(name, { addresses: said, atMs: this.#wallMs() });
    else this.#seen.delete(name);
    return node !== undefined && !isSame;
  }

  /** True when the node's usable addresses differ from the stored ones and were stored. */
  async noteAddresses(name: string, addresses: readonly string[]): Promise<boolean> {
    if (!(await this.hasMoved(name, addresses))) return false;
    await this.#store.setAddresses(name, usableAddresses(addresses));
    return true;
  }

  async #liveNode(name: string): Promise<Result<StoredNode, Refusal>> {
    const node = await this.#store.findNode(name);
    if (node === undefined) return unknownNode(name);
    return node.revoked ? refuse('NODE_REVOKED', `${name} is revoked`) : ok(node);
  }
}

/** Loopback has many spellings, and who listens on all addresses listens on each. */
function isSameListener(listens: string, target: string): boolean {
  if (listens === target || ['0.0.0.0', '::'].includes(listens)) return true;
  return isLoopback(listens) && isLoopback(target);
}

function isLoopback(host: string): boolean {
  return host === '::1' || /^127\.|^localhost\.?$/i.test(host);
}

function unknownNode(name: string): { readonly ok: false; readonly error: Refusal } {
  return refuse('NODE_UNKNOWN', `no node is called ${name}`);
}

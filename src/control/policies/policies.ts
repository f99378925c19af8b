import { fail, ok, type Result } from '#kernel/result.ts';
import { isNodeName } from '#trust/identity.ts';
import { POLICY_LIMIT, POLICY_TEXTS_LIMIT_BYTES } from '#trust/policy/limits.ts';
import type { CheckedPolicy, PolicyProblem } from '#trust/policy/policy-check.ts';
import type { SnapshotPolicy } from '#trust/snapshot.ts';
import { type Refusal, refuse } from '#control/refusal.ts';
import type { PolicyStore, StoredPolicy } from '#control/policies/store.ts';

/** What `x0 up` puts into a mesh of its own: every member may reach every service. */
export const LOCAL_POLICY_NAME = 'local-allow-members';
export const LOCAL_POLICY_TEXT = `// Every member of this mesh may reach every service: for one machine and trying things out.
permit(principal in X0::Group::"members", action == X0::Action::"connect", resource);
`;

export interface PoliciesPorts {
  readonly store: PolicyStore;
  readonly check: (text: string) => Result<CheckedPolicy, PolicyProblem>;
  readonly wallMs: () => number;
}

export interface PoliciesOptions {
  /** Refuses what is meant for trying out. */
  readonly isProduction: boolean;
}

export interface PolicyChange {
  readonly name: string;
  readonly text: string;
  readonly enabled: boolean;
  /** Who asks. */
  readonly by: string;
  /** The version that the author has seen; 0: there is none. Undefined: whatever there is. */
  readonly expected?: number;
}

/** The operator's policies, their versions, and what a snapshot says of them. */
export class Policies {
  readonly #ports: PoliciesPorts;
  readonly #options: PoliciesOptions;

  constructor(ports: PoliciesPorts, options: PoliciesOptions) {
    this.#ports = ports;
    this.#options = options;
  }

  /** Whether a text may be put into force. */
  check(text: string): Result<CheckedPolicy, Refusal> {
    const checked = this.#ports.check(text);
    return checked.ok ? checked : fail(refusalOf(checked.error));
  }

  /** Creates or replaces. */
  async put(change: PolicyChange): Promise<Result<StoredPolicy, Refusal>> {
    const { name, text, enabled, by, expected } = change;
    if (!isNodeName(name)) return refuse('NAME_INVALID', 'a policy name must be 1 to 63 of a-z, 0-9 and inner hyphens');
    if (this.#options.isProduction && name === LOCAL_POLICY_NAME)
      return refuse(
        'POLICY_NOT_FOR_PRODUCTION',
        `${name} lets every member reach every service, and this is production`,
      );
    const checked = this.check(text);
    if (!checked.ok) return checked;
    const full = await this.#findExcess(name, text);
    if (full !== undefined) return full;
    const { statements } = checked.value;
    const next = { name, text, statements, enabled, deleted: false, changedAtMs: this.#ports.wallMs(), changedBy: by };
    return changed(name, await this.#ports.store.put(next, expected));
  }

  async delete(name: string, by: string, expected?: number): Promise<Result<StoredPolicy, Refusal>> {
    const present = await this.#present(name);
    if (!present.ok) return present;
    const gone = { ...present.value, enabled: false, deleted: true, changedAtMs: this.#ports.wallMs(), changedBy: by };
    return changed(name, await this.#ports.store.put(gone, expected ?? present.value.version));
  }

  /** Makes an earlier version the next one. */
  async rollback(name: string, version: number, by: string): Promise<Result<StoredPolicy, Refusal>> {
    const versions = await this.#ports.store.versions(name);
    const wanted = versions.find((it) => it.version === version);
    if (wanted === undefined || wanted.deleted)
      return refuse('POLICY_UNKNOWN', `there is no version ${version} of ${name} to go back to`);
    return await this.put({ name, text: wanted.text, enabled: wanted.enabled, by });
  }

  async find(name: string): Promise<Result<StoredPolicy, Refusal>> {
    return await this.#present(name);
  }

  async list(): Promise<readonly StoredPolicy[]> {
    return await this.#ports.store.list();
  }

  /** Newest first, deletions too. */
  async versions(name: string): Promise<Result<readonly StoredPolicy[], Refusal>> {
    const versions = await this.#ports.store.versions(name);
    return versions.length === 0 ? refuse('POLICY_UNKNOWN', `no policy is called ${name}`) : ok(versions);
  }

  /** What is in force, as snapshots carry it. `change`: as it would be with another text, or without (null). */
  async statements(change?: {
    readonly name: string;
    readonly statements: readonly string[] | null;
  }): Promise<readonly SnapshotPolicy[]> {
    const inForce = (await this.list()).filter((it) => it.enabled && it.name !== change?.name);
    const changedOnes =
      change?.statements === undefined || change.statements === null
        ? []
        : [{ ...change, statements: change.statements }];
    const all = [...inForce.map(({ name, statements }) => ({ name, statements })), ...changedOnes];
    return all.toSorted((a, b) => (a.name < b.name ? -1 : 1)).flatMap(numbered);
  }

  /** Takes {@link LOCAL_POLICY_NAME} out of force where an earlier start had put it. True if it was. */
  async dropLocalPolicy(): Promise<boolean> {
    const { ok: isThere } = await this.#present(LOCAL_POLICY_NAME);
    return this.#options.isProduction && isThere ? (await this.delete(LOCAL_POLICY_NAME, 'production')).ok : false;
  }

  async #present(name: string): Promise<Result<StoredPolicy, Refusal>> {
    const found = await this.#ports.store.find(name);
    return found === undefined || found.deleted ? refuse('POLICY_UNKNOWN', `no policy is called ${name}`) : ok(found);
  }

  async #findExcess(name: string, text: string): Promise<{ readonly ok: false; readonly error: Refusal } | undefined> {
    const others = (await this.list()).filter((it) => it.name !== name);
    if (others.length >= POLICY_LIMIT) return refuse('POLICY_LIMIT', `there are ${POLICY_LIMIT} policies at most`);
    const lengths = others.reduce((sum, it) => sum + it.text.length, text.length);
    return lengths > POLICY_TEXTS_LIMIT_BYTES
      ? refuse('POLICY_LIMIT', `all policies together have ${POLICY_TEXTS_LIMIT_BYTES} bytes at most`)
      : undefined;
  }
}

function numbered({ name, statements }: Pick<StoredPolicy, 'name' | 'statements'>): readonly SnapshotPolicy[] {
  return statements.map((text, index) => ({ id: index === 0 ? name : `${name}#${index + 1}`, text }));
}

function changed(name: string, stored: StoredPolicy | undefined): Result<StoredPolicy, Refusal> {
  return stored === undefined
    ? refuse('POLICY_CHANGED', `${name} is not of that version any more: look at it again`)
    : ok(stored);
}

function refusalOf({ code, message, line, column }: PolicyProblem): Refusal {
  return { code, message: `line ${line}, column ${column}: ${message}`, details: { line, column } };
}

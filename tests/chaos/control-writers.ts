/** What writes to a control plane that is killed: each remembers what it was answered. */
import { type AdminClient, isObject, type JsonObject } from '#io/admin-client-http/admin-client.ts';

export type WriterKind = 'tokens' | 'services' | 'policies' | 'users';

interface Ask {
  readonly client: AdminClient;
  readonly stranger: AdminClient;
}

export interface Writer {
  readonly kind: WriterKind;
  readonly acknowledged: number;
  readonly cut: number;
  readonly cutButThere: number;
  /** One write; rejects when it is not answered. */
  write(ask: Ask): Promise<void>;
  /** Throws unless every acknowledged write is among `rows`, and in the log, by action and target. */
  check(rows: readonly JsonObject[], logged: ReadonlyMap<string, number>): void;
}

/** Services and policies are written again and again, so that the snapshot stays small. */
const NAMES = 20;
const PERMIT = 'permit(principal, action == X0::Action::"connect", resource == X0::Service::';

/** The objects of a list. */
export function objectsAt(answer: JsonObject, key: string): readonly JsonObject[] {
  const list = answer[key];
  return Array.isArray(list) ? list.filter(isObject) : [];
}

abstract class CountingWriter implements Writer {
  abstract readonly kind: WriterKind;
  acknowledged = 0;
  cut = 0;
  cutButThere = 0;
  protected readonly id: number;
  protected count = 0;

  constructor(id: number) {
    this.id = id;
  }

  async write(ask: Ask): Promise<void> {
    this.count++;
    try {
      await this.writeOne(ask);
      this.acknowledged++;
    } catch (error) {
      this.cut++;
      throw error;
    }
  }

  protected abstract writeOne(ask: Ask): Promise<void>;
  abstract check(rows: readonly JsonObject[], logged: ReadonlyMap<string, number>): void;
}

/** Things that are made once: all that were acknowledged must be there. */
abstract class MakingWriter extends CountingWriter {
  protected readonly made = new Set<string>();
  readonly #found = new Set<string>();

  protected abstract nameOf(row: JsonObject): string;

  override check(rows: readonly JsonObject[], logged: ReadonlyMap<string, number>): void {
    const names = new Set(rows.map((row) => this.nameOf(row)));
    for (const name of this.made) demand(names.has(name), `${this.kind} ${name} was acknowledged and is not there`);
    for (const name of names)
      if (this.isOwn(name) && !this.made.has(name) && !this.#found.has(name)) {
        this.#found.add(name);
        this.cutButThere++;
      }
    this.checkLog(rows, logged);
  }

  protected abstract isOwn(name: string): boolean;
  protected abstract checkLog(rows: readonly JsonObject[], logged: ReadonlyMap<string, number>): void;
}

class TokenWriter extends MakingWriter {
  readonly kind = 'tokens';

  protected async writeOne({ client }: Ask): Promise<void> {
    const { id } = await client.ask('POST', '/tokens', { node: `w${this.id}` });
    this.made.add(String(id));
  }

  protected nameOf(row: JsonObject): string {
    return row['node'] === `w${this.id}` ? String(row['id']) : '';
  }

  protected isOwn(name: string): boolean {
    return name !== '';
  }

  /** Each was made in one step with its entry, so there are as many, acknowledged or not. */
  protected checkLog(rows: readonly JsonObject[], logged: ReadonlyMap<string, number>): void {
    const entries = logged.get('tokens:create /tokens') ?? 0;
    demand(entries === rows.length, `there are ${rows.length} tokens, and ${entries} in the log`);
  }
}

class UserWriter extends MakingWriter {
  readonly kind = 'users';

  protected async writeOne({ client, stranger }: Ask): Promise<void> {
    const name = `writer-${this.id}-${this.count}`;
    const { code } = await client.ask('POST', '/users/invitations', { role: 'viewer' });
    await stranger.ask('POST', '/users/register', { code: String(code), name, password: 'a long and dull sentence' });
    this.made.add(name);
  }

  protected nameOf(row: JsonObject): string {
    return String(row['name']);
  }

  protected isOwn(name: string): boolean {
    return name.startsWith(`writer-${this.id}-`);
  }

  protected checkLog(_rows: readonly JsonObject[], logged: ReadonlyMap<string, number>): void {
    const entries = logged.get('open:POST /users/register /users/register') ?? 0;
    demand(entries >= this.made.size, `${this.made.size} users were acknowledged, and ${entries} are in the log`);
  }
}

/** Things that are replaced: each is as it was acknowledged last, or as the write that was cut would have it. */
abstract class ReplacingWriter extends CountingWriter {
  readonly #last = new Map<string, string>();
  readonly #writes = new Map<string, number>();
  #pending: { readonly name: string; readonly value: string } | undefined;

  protected override async writeOne({ client }: Ask): Promise<void> {
    const name = `w${this.id}-${this.count % NAMES}`;
    const value = String(1_000 + (this.count % 60_000));
    this.#pending = { name, value };
    await this.put(client, name, value);
    this.#pending = undefined;
    this.#last.set(name, value);
    this.#writes.set(name, (this.#writes.get(name) ?? 0) + 1);
  }

  override check(rows: readonly JsonObject[], logged: ReadonlyMap<string, number>): void {
    const values = new Map(rows.map((row) => [String(row['name']), this.valueIn(row)]));
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending !== undefined && values.get(pending.name) === pending.value) {
      this.cutButThere++;
      this.#last.set(pending.name, pending.value);
      this.#writes.set(pending.name, (this.#writes.get(pending.name) ?? 0) + 1);
    }
    for (const [name, value] of this.#last) {
      const found = values.get(name);
      demand(found === value, `${this.kind} ${name} was acknowledged as ${value} and is ${found}`);
      const [entries, writes] = [logged.get(this.entryOf(name)) ?? 0, this.#writes.get(name)];
      demand(entries === writes, `${this.kind} ${name} was written ${writes} times, and ${entries} are in the log`);
    }
  }

  protected abstract put(client: AdminClient, name: string, value: string): Promise<void>;
  protected abstract valueIn(row: JsonObject): string;
  protected abstract entryOf(name: string): string;
}

class ServiceWriter extends ReplacingWriter {
  readonly kind = 'services';

  protected async put(client: AdminClient, name: string, value: string): Promise<void> {
    await client.ask('PUT', `/services/${name}/instances/oslo`, { host: '127.0.0.1', port: Number(value) });
  }

  protected valueIn(row: JsonObject): string {
    return String(objectsAt(row, 'instances')[0]?.['port']);
  }

  protected entryOf(name: string): string {
    return `services:write /services/${name}/instances/oslo`;
  }
}

class PolicyWriter extends ReplacingWriter {
  readonly kind = 'policies';

  protected async put(client: AdminClient, name: string, value: string): Promise<void> {
    await client.ask('PUT', `/policies/${name}`, { text: `${PERMIT}"s${value}");` });
  }

  protected valueIn(row: JsonObject): string {
    return /Service::"s(\d+)"/.exec(String(row['text']))?.[1] ?? '';
  }

  protected entryOf(name: string): string {
    return `policies:write /policies/${name}`;
  }
}

/** Two of each that are quick. */
export const WRITERS: readonly ((id: number) => Writer)[] = [
  (id) => new TokenWriter(id),
  (id) => new TokenWriter(id),
  (id) => new ServiceWriter(id),
  (id) => new ServiceWriter(id),
  (id) => new PolicyWriter(id),
  (id) => new PolicyWriter(id),
  (id) => new UserWriter(id),
];

function demand(isSo: boolean, what: string): void {
  if (!isSo) throw new Error(what);
}

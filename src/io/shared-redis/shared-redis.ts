import { Redis } from 'ioredis';
import { randomUUID } from 'node:crypto';
import type { Secret } from '#kernel/secret.ts';
import type { SharedCondition, SharedState, WindowCount } from '#control/shared.ts';
import { SharedMemory } from '#io/shared-memory/shared-memory.ts';
import { OwedKeys } from '#io/shared-redis/owed-keys.ts';

export interface SharedRedisOptions {
  /** `redis://` or `rediss://`. */
  readonly url: Secret;
  /** Before every key and channel, so that two meshes may use one server. */
  readonly prefix: string;
  /** Monotonic. */
  readonly nowMs: () => number;
  /** Is told each change; `why` says what failed. */
  readonly onState?: (state: SharedCondition, why: string) => void;
}

/** What waits for Redis waits no longer than a person notices. */
const COMMAND_TIMEOUT_MS = 500;
const CONNECT_TIMEOUT_MS = 1_500;
const RECONNECT_MOST_MS = 1_000;
const PROBE_MS = 250;
/** A window begins with its first count, in one step, so that none is left without an end. */
const COUNT = `local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}`;

/**
 * Replicas that share one Redis. The first command that fails or takes too long makes it `degraded`: from then on this process
 * uses its own memory, without waiting, and a probe looks when Redis answers again. Then what was set or deleted meanwhile is
 * deleted there before anything is read, on the connection whose late commands it must follow: nothing stale comes back.
 */
export class SharedRedis implements SharedState {
  readonly #options: SharedRedisOptions;
  readonly #commands: Redis;
  readonly #notices: Redis;
  readonly #own: SharedMemory;
  readonly #owed = new OwedKeys();
  /** Its own notices come back to it, and were delivered already. */
  readonly #id = randomUUID();
  readonly #subscribed = new Map<string, number>();
  #state: SharedCondition = 'degraded';
  #probe: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(options: SharedRedisOptions) {
    this.#options = options;
    this.#own = new SharedMemory(options.nowMs);
    this.#commands = connect(options.url, COMMAND_TIMEOUT_MS);
    this.#notices = connect(options.url, undefined);
    this.#notices.on('message', (channel: string, text: string) => this.#handleNotice(channel, text));
    this.#notices.on('ready', () => void this.#subscribeAgain());
    this.#probe = setInterval(() => void this.#look(), PROBE_MS).unref();
  }

  /** Resolves when Redis answers, or degraded after a short wait. */
  static async open(options: SharedRedisOptions): Promise<SharedRedis> {
    const shared = new SharedRedis(options);
    await Promise.allSettled([shared.#commands.connect(), shared.#notices.connect()]);
    await shared.#look();
    return shared;
  }

  async increment(key: string, windowMs: number): Promise<WindowCount> {
    return await this.#ask(
      async () => {
        const answer: unknown = await this.#commands.eval(COUNT, 1, this.#keyOf('count', key), windowMs);
        const [count, resetsInMs] = answer as readonly [number, number];
        return { count, resetsInMs: Math.max(resetsInMs, 0) };
      },
      async () => this.#own.increment(key, windowMs),
    );
  }

  async get(key: string): Promise<string | undefined> {
    return await this.#ask(
      async () => (await this.#commands.get(this.#keyOf('value', key))) ?? undefined,
      async () => this.#own.get(key),
    );
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    await this.#ask(
      async () => void (await this.#commands.set(this.#keyOf('value', key), value, 'PX', Math.ceil(ttlMs))),
      async () => {
        this.#owed.add(this.#keyOf('value', key));
        await this.#own.set(key, value, ttlMs);
      },
    );
  }

  async delete(key: string): Promise<void> {
    await this.#ask(
      async () => void (await this.#commands.del(this.#keyOf('value', key))),
      async () => {
        this.#owed.add(this.#keyOf('value', key));
        await this.#own.delete(key);
      },
    );
  }

  async publish(channel: string, text: string): Promise<void> {
    await this.#own.publish(channel, text);
    await this.#ask(
      async () => void (await this.#commands.publish(this.#keyOf('notice', channel), `${this.#id} ${text}`)),
      async () => undefined,
    );
  }

  subscribe(channel: string, listener: (text: string) => void): () => void {
    const stop = this.#own.subscribe(channel, listener);
    const count = (this.#subscribed.get(channel) ?? 0) + 1;
    this.#subscribed.set(channel, count);
    if (count === 1 && this.#notices.status === 'ready') void this.#subscribeAgain();
    let isDone = false;
    return () => {
      if (isDone) return;
      isDone = true;
      stop();
      this.#unsubscribe(channel);
    };
  }

  state(): SharedCondition {
    return this.#state;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#probe);
    this.#commands.disconnect();
    this.#notices.disconnect();
    await this.#own.close();
  }

  async #ask<T>(shared: () => Promise<T>, alone: () => Promise<T>): Promise<T> {
    if (this.#state === 'degraded') return await alone();
    try {
      return await shared();
    } catch (error) {
      this.#degrade(error);
      return await alone();
    }
  }

  #degrade(error: unknown): void {
    if (this.#state === 'degraded') return;
    this.#state = 'degraded';
    this.#own.clear();
    this.#options.onState?.('degraded', error instanceof Error ? error.name : String(error));
  }

  /** Back to sharing when Redis answers and holds nothing any more that was changed here meanwhile. */
  async #look(): Promise<void> {
    if (this.#state === 'up' || this.#isClosed || this.#commands.status !== 'ready') return;
    try {
      await this.#commands.ping();
      await this.#owed.settle(this.#commands, this.#keyOf('value', ''));
    } catch (error) {
      // It is looked again soon; the state says all there is to say.
      if (!(error instanceof Error)) throw error;
      return;
    }
    if (this.#owed.size > 0 || this.#isClosed) return;
    this.#state = 'up';
    this.#own.clear();
    this.#options.onState?.('up', '');
  }

  async #subscribeAgain(): Promise<void> {
    const channels = [...this.#subscribed.keys()].map((channel) => this.#keyOf('notice', channel));
    if (channels.length === 0) return;
    await this.#notices.subscribe(...channels).catch(isExpected);
  }

  #unsubscribe(channel: string): void {
    const left = (this.#subscribed.get(channel) ?? 1) - 1;
    if (left > 0) {
      this.#subscribed.set(channel, left);
      return;
    }
    this.#subscribed.delete(channel);
    if (this.#notices.status === 'ready')
      void this.#notices.unsubscribe(this.#keyOf('notice', channel)).catch(isExpected);
  }

  #handleNotice(channel: string, text: string): void {
    const at = text.indexOf(' ');
    if (text.slice(0, at) === this.#id) return;
    void this.#own.publish(channel.slice(this.#keyOf('notice', '').length), text.slice(at + 1));
  }

  #keyOf(kind: 'count' | 'value' | 'notice', key: string): string {
    return `${this.#options.prefix}${kind}:${key}`;
  }
}

function connect(url: Secret, commandTimeout: number | undefined): Redis {
  const redis = new Redis(url.reveal(), {
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    connectTimeout: CONNECT_TIMEOUT_MS,
    ...(commandTimeout === undefined ? {} : { commandTimeout }),
    retryStrategy: (attempt) => Math.min(50 * attempt, RECONNECT_MOST_MS),
  });
  // What fails says so where it was asked; this one has nobody who asked.
  redis.on('error', () => undefined);
  return redis;
}

/** A connection that ends takes its subscriptions along; the next one makes them anew. */
function isExpected(error: unknown): void {
  if (!(error instanceof Error)) throw error;
}

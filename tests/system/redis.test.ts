import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { setTimeout } from 'node:timers/promises';
import { Secret } from '#kernel/secret.ts';
import { SharedRedis } from '#io/shared-redis/shared-redis.ts';
import { describeSharedState } from '../fixtures/shared-state-suite.ts';
import { RedisServer } from '../harness/redis.ts';
import { SYSTEM_MISSING } from '../harness/system.ts';

let server: RedisServer;
let meshes = 0;
const changes: string[] = [];

const nowMs = (): number => performance.now();
const onState = (state: string, why: string): void => void changes.push(`${state} ${why}`);

async function open(prefix: string): Promise<SharedRedis> {
  return await SharedRedis.open({ url: new Secret(server.url), prefix, nowMs, onState });
}

async function openTwo(): Promise<readonly [SharedRedis, SharedRedis]> {
  const prefix = `x0:test-${++meshes}:`;
  return [await open(prefix), await open(prefix)];
}

describe.skipIf(SYSTEM_MISSING !== undefined)('Redis', () => {
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(async () => server.stop());

  describeSharedState({
    name: 'Redis',
    open: openTwo,
    // Redis has its own clock.
    pass: async (ms) => setTimeout(ms),
    stop: async () => undefined,
  });

  test('one that hangs is waited for once, then this process counts alone; what changed meanwhile is not stale afterwards', async () => {
    const [one, two] = await openTwo();
    await one.set('session', 'before', 60_000);
    await one.set('other', 'before', 60_000);
    await one.increment('k', 60_000);
    server.freeze(true);
    const frozenMs = performance.now();
    expect(await one.increment('k', 60_000)).toMatchObject({ count: 1 });
    const onceMs = performance.now() - frozenMs;
    for (let again = 0; again < 100; again++) await one.increment('k', 60_000);
    await one.set('session', 'meanwhile', 60_000);
    expect([await one.get('session'), await one.get('other')]).toEqual(['meanwhile', undefined]);
    await one.delete('other');
    expect(one.state()).toBe('degraded');
    expect(onceMs).toBeLessThan(700);
    expect(performance.now() - frozenMs).toBeLessThan(1_000);
    server.freeze(false);
    await vi.waitFor(() => expect(one.state()).toBe('up'), { timeout: 3_000 });
    expect([await two.get('session'), await two.get('other')]).toEqual([undefined, undefined]);
    expect((await two.increment('k', 60_000)).count).toBeLessThan(5);
    await Promise.all([one.close(), two.close()]);
  });

  test('one that is away is used again by itself, with its subscribers, and so is one that was away at the start', async () => {
    await server.stop();
    const [one, two] = await openTwo();
    const heard: string[] = [];
    two.subscribe('c', (text) => void heard.push(text));
    expect(one.state()).toBe('degraded');
    expect((await one.increment('k', 60_000)).count).toBe(1);
    for (let round = 0; round < 2; round++) {
      await server.resume();
      await vi.waitFor(() => expect([one.state(), two.state()]).toEqual(['up', 'up']), { timeout: 5_000 });
      await vi.waitFor(
        async () => {
          await one.publish('c', `round ${round}`);
          expect(heard).toContain(`round ${round}`);
        },
        { timeout: 5_000 },
      );
      await server.stop();
      await vi.waitFor(async () => {
        await Promise.all([one.get('k'), two.get('k')]);
        expect([one.state(), two.state()]).toEqual(['degraded', 'degraded']);
      });
    }
    await server.resume();
    expect(changes.join('\n')).not.toContain(new URL(server.url).password);
    await Promise.all([one.close(), two.close()]);
  });

  test('more keys than are remembered one by one are not stale either', async () => {
    const [one, two] = await openTwo();
    await one.set('kept', 'before', 60_000);
    server.freeze(true);
    for (let key = 0; key < 10_050; key++) await one.set(`${key}`, 'meanwhile', 60_000);
    server.freeze(false);
    await vi.waitFor(() => expect(one.state()).toBe('up'), { timeout: 5_000 });
    expect(await two.get('kept')).toBeUndefined();
    await Promise.all([one.close(), two.close()]);
  });
});

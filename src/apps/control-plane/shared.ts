import type { Logger } from 'pino';
import type { Secret } from '#kernel/secret.ts';
import type { SharedState } from '#control/shared.ts';
import { SharedMemory } from '#io/shared-memory/shared-memory.ts';
import { SharedRedis } from '#io/shared-redis/shared-redis.ts';

const nowMs = (): number => performance.now();

/** What replicas share for a short time: Redis where its URL is given, else nothing is shared. */
export async function openShared(
  { redis, trustDomain }: { readonly redis: Secret | undefined; readonly trustDomain: string },
  log: Logger,
): Promise<SharedState> {
  if (redis === undefined) return new SharedMemory(nowMs);
  const shared = await SharedRedis.open({
    url: redis,
    prefix: `x0:${trustDomain}:`,
    nowMs,
    onState: (state, why) => {
      if (state === 'up') log.info('Redis is used');
      else log.warn({ why }, 'Redis does not answer; this replica counts alone until it does');
    },
  });
  if (shared.state() === 'degraded') log.warn('Redis does not answer; this replica counts alone until it does');
  return shared;
}

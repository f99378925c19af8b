import { expect, test } from 'vitest';
import { inspect } from 'node:util';
import { parseControlConfig } from '#apps/control-plane/config.ts';

test('the database and Redis come from the environment, and what the configuration shows hides both', () => {
  const environment = { DATABASE_URL: 'postgres://x0:canary@db:5432/x0', REDIS_URL: 'rediss://:canary@cache:6379' };
  const config = parseControlConfig({}, '/data', environment);
  expect(config.database.kind === 'postgresql' && config.database.url.reveal()).toBe(environment.DATABASE_URL);
  expect(config.redis?.reveal()).toBe(environment.REDIS_URL);
  expect(`${JSON.stringify(config)} ${inspect(config, { depth: 9, showHidden: true })}`).not.toContain('canary');
  expect(parseControlConfig({}, '/data', { DATABASE_URL: '', REDIS_URL: '' })).toMatchObject({
    database: { kind: 'sqlite', path: '/data/x0.sqlite' },
    redis: undefined,
  });
});

test('what is no URL of theirs is refused without being repeated', () => {
  for (const [name, text] of [
    ['DATABASE_URL', 'mysql://x0:canary@db/x0'],
    ['DATABASE_URL', 'canary'],
    ['REDIS_URL', 'http://canary'],
  ] as const) {
    const parse = (): unknown => parseControlConfig({}, '/data', { [name]: text });
    expect(parse).toThrow(expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(name) }));
    expect(parse).not.toThrow(/canary/);
  }
});

import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { TargetPolicy } from '#io/target-policy/target-policy.ts';
import { ServiceDirectory } from '#mesh/node/services.ts';
import { NO_TRACING } from '#io/tracing-otlp/tracing.ts';
import { StreamTracing } from './stream-tracing.ts';
import { ServiceOpener } from './service-opener.ts';

let server: Server | undefined;
afterEach(() => server?.close());

async function listen(): Promise<number> {
  server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not TCP');
  return address.port;
}

/** An opener on rome, whose own instance of `web` leads to `port`, and what it asked the mesh for. */
function openerOn(
  port: number,
  others: readonly string[] = [],
): { opener: ServiceOpener; asked: string[]; readonly drain: () => void } {
  const asked: string[] = [];
  const directory = new ServiceDirectory();
  const instances = ['rome', ...others].map((node) => ({ node, host: '127.0.0.1', port, proxyProtocol: false }));
  directory.handleSnapshot({
    format: 1,
    trustDomain: 'x0tta6bl4.mesh',
    nodes: [],
    services: [{ name: 'web', instances }],
    forwards: [],
    revocations: [],
    issuers: [],
    roots: [],
  });
  let isDraining = false;
  const opener = new ServiceOpener({
    self: { name: 'rome', spiffeId: 'spiffe://x0tta6bl4.mesh/node/rome' },
    targets: new TargetPolicy({ patterns: [], ownPorts: () => [] }),
    directory,
    tracing: new StreamTracing(NO_TRACING),
    policyReady: async () => undefined,
    denialOf: () => undefined,
    isDraining: () => isDraining,
    isElsewhere: () => others.length > 0,
    openElsewhere: (service) => {
      asked.push(service);
      return Promise.resolve(new PassThrough());
    },
  });
  return {
    opener,
    asked,
    drain: () => {
      isDraining = true;
    },
  };
}

describe('a stream to a service of the node itself', () => {
  test('is counted until it is closed, because a drain waits for it', async () => {
    const { opener, asked } = openerOn(await listen());
    const stream = await opener.open('web');
    expect(opener.localStreams).toBe(1);
    stream.destroy();
    await once(stream, 'close');
    expect(opener.localStreams).toBe(0);
    expect(asked).toEqual([]);
  });

  test('is not begun while the node drains', async () => {
    const { opener, drain } = openerOn(await listen());
    drain();
    await expect(opener.open('web')).rejects.toMatchObject({ code: 'NODE_DRAINING' });
  });

  test('whose target is dead goes to another instance, and is refused where there is none', async () => {
    const port = await listen();
    server?.close();
    const alone = openerOn(port);
    await expect(alone.opener.open('web')).rejects.toMatchObject({ code: 'TARGET_REFUSED' });
    expect(alone.asked).toEqual([]);
    const { opener, asked } = openerOn(port, ['lima']);
    await opener.open('web');
    expect(asked).toEqual(['web']);
    expect(opener.localStreams).toBe(0);
  });
});

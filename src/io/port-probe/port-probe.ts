import { createServer, type Server } from 'node:net';
import type { HostPort } from '../edge-listener/host-port.ts';
import { listenFailure } from '../edge-listener/listen-failure.ts';

/** Rejects with `PORT_IN_USE`, `PORT_NOT_ALLOWED` or `ADDRESS_NOT_HERE` for the first of `addresses` where nothing could listen. */
export async function probePorts(addresses: readonly HostPort[]): Promise<void> {
  const probes = await Promise.allSettled(addresses.map(holdPort));
  const held = probes.flatMap((probe) => (probe.status === 'fulfilled' ? probe.value : []));
  await Promise.all(held.map(releasePort));
  for (const [index, probe] of probes.entries()) {
    const address = addresses[index];
    if (probe.status === 'rejected' && address !== undefined) throw listenFailure(probe.reason, address, 'port');
  }
}

/** Ports of `host` that were free just now, all different. */
export async function findFreePorts(host: string, count: number): Promise<readonly number[]> {
  const held = await Promise.all(Array.from({ length: count }, async () => holdPort({ host, port: 0 })));
  const ports = held.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(held.map(releasePort));
  return ports;
}

function holdPort({ host, port }: HostPort): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}

function releasePort(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

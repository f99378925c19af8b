import { createServer, type Server } from 'node:net';
import { CodedError } from '#control/coded-error.ts';
import { formatHostPort, type HostPort } from '../edge-listener/host-port.ts';

/** Rejects with `PORT_IN_USE`, `PORT_NOT_ALLOWED` or `ADDRESS_NOT_HERE` for the first of `addresses` where nothing could listen. */
export async function probePorts(addresses: readonly HostPort[]): Promise<void> {
  const probes = await Promise.allSettled(addresses.map(holdPort));
  const held = probes.flatMap((probe) => (probe.status === 'fulfilled' ? probe.value : []));
  await Promise.all(held.map(releasePort));
  for (const [index, probe] of probes.entries()) {
    const address = addresses[index];
    if (probe.status === 'rejected' && address !== undefined) throw refusalOf(probe.reason, address);
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

function refusalOf(error: unknown, address: HostPort): Error {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const where = formatHostPort(address);
  if (code === 'EADDRINUSE') {
    return new CodedError(
      'PORT_IN_USE',
      `${where} is in use; stop what listens there (see \`ss -ltnp\`) or choose other ports`,
    );
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'EINVAL')
    return new CodedError('ADDRESS_NOT_HERE', `${address.host} is no address of this host`);
  if (code === 'EACCES')
    return new CodedError('PORT_NOT_ALLOWED', `${where} needs rights that this user lacks; choose ports above 1023`);
  return error instanceof Error ? error : new Error(String(error));
}

import { expect, test } from 'vitest';
import { listenTcp } from '../edge-listener/tcp-listener.ts';
import { findFreePorts, probePorts } from './port-probe.ts';

test('a port in use is named, and free ones are free again afterwards', async () => {
  const [free = 0, other = 0] = await findFreePorts('127.0.0.1', 2);
  const taken = await listenTcp({ host: '127.0.0.1', port: 0 }, (socket) => socket.destroy());
  const addresses = [{ host: '127.0.0.1', port: free }, taken.address];
  await expect(probePorts(addresses)).rejects.toMatchObject({
    code: 'PORT_IN_USE',
    message: expect.stringContaining(`127.0.0.1:${taken.address.port}`) as string,
  });
  await taken.close();
  await expect(probePorts([...addresses, { host: '127.0.0.1', port: other }])).resolves.toBeUndefined();
});

test('an address of another host is told apart', async () => {
  await expect(probePorts([{ host: '192.0.2.1', port: 4711 }])).rejects.toMatchObject({ code: 'ADDRESS_NOT_HERE' });
});

test('free ports are all different', async () => {
  const ports = await findFreePorts('127.0.0.1', 30);
  expect(new Set(ports).size).toBe(30);
});

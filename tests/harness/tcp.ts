/** Plain TCP clients and servers for tests: SOCKS5 by hand, seeded bytes, checksums. */
import { createCipheriv, createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A SOCKS5 reply other than success. */
export class SocksRefusal extends Error {
  override readonly name = 'SocksRefusal';
  readonly reply: number;

  constructor(reply: number) {
    super(`SOCKS5 reply ${reply}`);
    this.reply = reply;
  }
}

/** A server on loopback that ends with its connections. */
export interface TcpBackend {
  readonly port: number;
  readonly sockets: ReadonlySet<Socket>;
  close(): Promise<void>;
}

/** Listens on a free port of `host`; `onSocket` gets half-open sockets. */
export async function openBackend(onSocket: (socket: Socket) => void, host = '127.0.0.1'): Promise<TcpBackend> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
    onSocket(socket);
  });
  server.listen(0, host);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Sends back what it gets. */
export async function openEcho(host?: string): Promise<TcpBackend> {
  return await openBackend((socket) => socket.pipe(socket), host);
}

/** Connects to a port on loopback. */
export async function connectTcp(port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host, allowHalfOpen: true });
  await once(socket, 'connect');
  // Whoever reads it sees a reset too; one between two reads must not end the tests.
  socket.on('error', () => socket.destroy());
  return socket;
}

/** Reads exactly `length` bytes. Rejects when the socket ends before. */
export async function readExactly(socket: Socket, length: number): Promise<Buffer> {
  for (;;) {
    const bytes = socket.read(length) as Buffer | null;
    if (bytes !== null && bytes.byteLength === length) return bytes;
    if (bytes !== null || socket.readableEnded || socket.destroyed)
      throw new Error(`the socket ended before ${length}`);
    const waiting = new AbortController();
    const { signal } = waiting;
    await Promise.race([once(socket, 'readable', { signal }), once(socket, 'close', { signal })]);
    waiting.abort();
  }
}

/** What comes back of `hello` from an echo at this port of loopback, on a connection of its own. */
export async function echoThrough(port: number): Promise<string> {
  const socket = await connectTcp(port);
  try {
    socket.write('hello');
    return (await readExactly(socket, 5)).toString();
  } finally {
    socket.destroy();
  }
}

const CONNECT = 1;

/** Asks a SOCKS5 proxy for `name:port` and returns the reply, leaving the socket in the caller's hands. */
async function askSocks(socket: Socket, name: string, port: number, command = CONNECT): Promise<number> {
  socket.write(Uint8Array.of(5, 1, 0));
  await readExactly(socket, 2);
  const host = Buffer.from(name);
  socket.write(
    Buffer.concat([Uint8Array.of(5, command, 0, 3, host.byteLength), host, Uint8Array.of(port >> 8, port & 255)]),
  );
  const [, reply = 255, , type] = await readExactly(socket, 4);
  await readExactly(socket, (type === 4 ? 16 : 4) + 2);
  return reply;
}

/** A stream to `SERVICE.mesh` through a SOCKS5 proxy on loopback. Rejects with {@link SocksRefusal}. */
export async function openBySocks(proxyPort: number, service: string): Promise<Socket> {
  const socket = await connectTcp(proxyPort);
  const reply = await askSocks(socket, `${service}.mesh`, 80);
  if (reply === 0) return socket;
  socket.destroy();
  throw new SocksRefusal(reply);
}

/** The reply of a SOCKS5 proxy to one request. */
export async function socksReply(proxyPort: number, name: string, command?: number): Promise<number> {
  const socket = await connectTcp(proxyPort);
  try {
    return await askSocks(socket, name, 80, command);
  } finally {
    socket.destroy();
  }
}

/** Repeatable bytes that do not compress: a key stream of the seed. */
export function seededBytes(seed: string, length: number): Buffer {
  const key = createHash('sha256').update(seed).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

const BLOCK_BYTES = 1_048_576;

/** Writes `length` bytes made from `seed`, heeding back-pressure, ends the writing side, and returns their SHA-256. */
export async function sendBytes(socket: Socket, seed: string, length: number): Promise<string> {
  const block = seededBytes(seed, Math.min(length, BLOCK_BYTES));
  const hash = createHash('sha256');
  for (let sent = 0, index = 0; sent < length; index++) {
    // A block is never sent twice alike, so that a lost or repeated one shows.
    const stamped = Buffer.from(block.subarray(0, Math.min(BLOCK_BYTES, length - sent)));
    if (stamped.byteLength >= 4) stamped.writeUInt32BE(index);
    hash.update(stamped);
    sent += stamped.byteLength;
    if (!socket.write(stamped)) await once(socket, 'drain');
  }
  socket.end();
  return hash.digest('hex');
}

/** Reads to the end, leaving the writing side open; rejects when the stream breaks. */
export async function receiveBytes(socket: Socket): Promise<{ readonly length: number; readonly sha256: string }> {
  const hash = createHash('sha256');
  let length = 0;
  await readToEnd(socket, (chunk) => {
    hash.update(chunk);
    length += chunk.byteLength;
  });
  return { length, sha256: hash.digest('hex') };
}

/** The text up to the end, leaving the writing side open; rejects when the stream breaks. */
export async function receiveText(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  await readToEnd(socket, (chunk) => chunks.push(chunk));
  return Buffer.concat(chunks).toString('utf8');
}

// Not `for await`: it destroys a socket whose other half is still open.
async function readToEnd(socket: Socket, take: (chunk: Buffer) => void): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.on('data', take);
    socket.once('end', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the stream ended before its end')));
  });
}

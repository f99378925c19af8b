/** Ends and pipes of a measured stream, each a process of its own: `source`, `sink`, `echo`, `pipe`, told what to do over IPC. */
import { connect, createServer, type Socket } from 'node:net';

type Order =
  | { readonly role: 'sink' | 'echo' | 'stall'; readonly port: number }
  | { readonly role: 'pipe'; readonly port: number; readonly to: number }
  | { readonly role: 'source'; readonly port: number; readonly bytes: number }
  /** `rounds` times 64 bytes there and back, on one stream or each on a new one. */
  | { readonly role: 'rounds'; readonly port: number; readonly rounds: number; readonly anew: boolean }
  /** Opens `count` streams and writes until each is full, or nothing at all when idle. */
  | { readonly role: 'hold'; readonly port: number; readonly count: number; readonly fill: boolean }
  | { readonly role: 'crowd'; readonly port: number; readonly count: number }
  | { readonly role: 'crowd again' }
  | { readonly role: 'release' }
  | { readonly role: 'cpu' };

const BLOCK = Buffer.alloc(262_144, 'x0 measures itself ');
const OPTIONS = { allowHalfOpen: true, noDelay: true, highWaterMark: 262_144 };
const readBuffer = Buffer.allocUnsafeSlow(262_144);

process.on('message', (order: Order) => {
  if (order.role === 'cpu') return void process.send?.(process.cpuUsage());
  if (order.role === 'source') return send(order.port, order.bytes);
  if (order.role === 'rounds') return void measureRounds(order.port, order.rounds, order.anew);
  if (order.role === 'hold') return void hold(order.port, order.count, order.fill);
  if (order.role === 'crowd') return void crowd(order.port, order.count);
  if (order.role === 'crowd again') return void crowdAgain();
  if (order.role === 'release') return release();
  serve(order);
});
process.on('disconnect', () => process.exit(0));

function serve(order: Extract<Order, { role: 'sink' | 'echo' | 'stall' | 'pipe' }>): void {
  createServer(OPTIONS, (socket) => {
    socket.on('error', () => socket.destroy());
    if (order.role === 'stall') held.push(socket.pause());
    else if (order.role === 'echo') socket.pipe(socket);
    else if (order.role === 'pipe') pipe(socket, order.to);
    else count(socket);
  }).listen({ host: process.env['X0_BENCH_HOST'] ?? '127.0.0.1', port: order.port }, () => process.send?.('ready'));
}

function count(socket: Socket): void {
  let bytes = 0;
  socket.on('data', (chunk) => {
    bytes += chunk.length;
  });
  socket.on('end', () => socket.end(String(bytes)));
}

function pipe(socket: Socket, to: number): void {
  const onward = connect({ ...OPTIONS, host: '127.0.0.1', port: to });
  onward.on('error', () => socket.destroy());
  socket.pipe(onward).pipe(socket);
}

function send(port: number, bytes: number): void {
  const startMs = performance.now();
  let answer = '';
  let left = bytes;
  const onread = {
    buffer: readBuffer,
    callback: (length: number, buffer: Uint8Array) => {
      answer += Buffer.from(buffer.subarray(0, length)).toString();
      return true;
    },
  };
  const socket = connect({ ...OPTIONS, host: '127.0.0.1', port, onread });
  const write = (): void => {
    while (left > 0) {
      const block = left < BLOCK.byteLength ? BLOCK.subarray(0, left) : BLOCK;
      left -= block.byteLength;
      if (!socket.write(block)) return void socket.once('drain', write);
    }
    socket.end();
  };
  socket.once('connect', write);
  socket.once('error', (error) => process.send?.({ error: error.message }));
  socket.once('close', () => process.send?.({ answer, seconds: (performance.now() - startMs) / 1000 }));
}

const MESSAGE = Buffer.alloc(64, 'round trip of sixty-four bytes. ');
const held: Socket[] = [];

async function measureRounds(port: number, rounds: number, anew: boolean): Promise<void> {
  const samplesMs: number[] = [];
  let socket: Socket | undefined;
  for (let i = 0; i < rounds; i++) {
    const startMs = performance.now();
    if (anew || socket === undefined) socket = connect({ ...OPTIONS, host: '127.0.0.1', port });
    await roundTrip(socket);
    samplesMs.push(performance.now() - startMs);
    if (anew) socket.destroy();
  }
  socket?.destroy();
  process.send?.({ samplesMs });
}

function roundTrip(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = MESSAGE.byteLength;
    const onData = (chunk: Buffer): void => {
      left -= chunk.byteLength;
      if (left > 0) return;
      socket.off('data', onData);
      socket.off('error', reject);
      resolve();
    };
    socket.on('data', onData);
    socket.once('error', reject);
    socket.write(MESSAGE);
  });
}

async function hold(port: number, count: number, fill: boolean): Promise<void> {
  for (let i = 0; i < count; i++) {
    const socket = connect({ ...OPTIONS, host: '127.0.0.1', port });
    socket.on('error', () => socket.destroy());
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    held.push(socket);
    if (fill) while (socket.write(BLOCK) && socket.writableLength < 8 * BLOCK.byteLength);
  }
  if (fill) await allStalled();
  process.send?.('held');
}

/** Until a second passes in which none of the held streams took a byte: buffers of the system hold megabytes each. */
async function allStalled(): Promise<void> {
  let quietMs = 0;
  let before = -1;
  while (quietMs < 1_000) {
    await new Promise((resolve) => {
      setTimeout(resolve, 200);
    });
    const taken = held.reduce((sum, socket) => sum + socket.bytesWritten - socket.writableLength, 0);
    quietMs = taken === before ? quietMs + 200 : 0;
    before = taken;
    for (const socket of held) while (socket.writableLength < BLOCK.byteLength && socket.write(BLOCK));
  }
}

async function crowd(port: number, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const socket = connect({ ...OPTIONS, host: '127.0.0.1', port });
    held.push(socket);
    await roundTrip(socket);
  }
  process.send?.('crowded');
}

async function crowdAgain(): Promise<void> {
  const startMs = performance.now();
  try {
    await Promise.all(held.map(async (socket) => roundTrip(socket)));
    process.send?.({ ms: performance.now() - startMs });
  } catch (error) {
    process.send?.({ error: String(error) });
  }
}

function release(): void {
  for (const socket of held.splice(0)) socket.resetAndDestroy();
  process.send?.('released');
}

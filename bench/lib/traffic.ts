import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { PROGRAM_ENVIRONMENT, PROGRAM_FLAGS } from '../../bin/program-flags.js';

const script = fileURLToPath(new URL('./traffic-child.ts', import.meta.url));

/** A process that plays one part of a measured stream. */
export class TrafficProcess {
  readonly child: ChildProcess;

  constructor(wrap: readonly string[] = [], environment: Readonly<Record<string, string>> = {}) {
    const command = [...wrap, process.execPath, ...PROGRAM_FLAGS, script];
    this.child = spawn(command[0] ?? '', command.slice(1), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, ...PROGRAM_ENVIRONMENT, ...environment },
    });
  }

  async serve(role: 'sink' | 'echo' | 'stall', port: number): Promise<this> {
    this.child.send({ role, port });
    await once(this.child, 'message');
    return this;
  }

  async pipe(port: number, to: number): Promise<this> {
    this.child.send({ role: 'pipe', port, to });
    await once(this.child, 'message');
    return this;
  }

  /** Sends `bytes` and returns the seconds until the other end confirmed every one of them. Throws when it did not. */
  async send(port: number, bytes: number): Promise<number> {
    this.child.send({ role: 'source', port, bytes });
    const [result] = (await once(this.child, 'message')) as [{ answer?: string; seconds?: number; error?: string }];
    if (result.answer !== String(bytes)) {
      throw new Error(`sent ${bytes} bytes, the sink confirmed ${result.answer ?? result.error ?? 'nothing'}`);
    }
    return result.seconds ?? 0;
  }

  /** Round trips of 64 bytes in milliseconds, all on one stream or each on a new one. */
  async rounds(port: number, rounds: number, anew: boolean): Promise<readonly number[]> {
    this.child.send({ role: 'rounds', port, rounds, anew });
    const [result] = (await once(this.child, 'message')) as [{ samplesMs: readonly number[] }];
    return result.samplesMs;
  }

  /** Opens streams and keeps them, full or idle. */
  async hold(port: number, count: number, fill: boolean): Promise<void> {
    this.child.send({ role: 'hold', port, count, fill });
    await once(this.child, 'message');
  }

  /** Opens streams that echo and waits until each has. */
  async crowd(port: number, count: number): Promise<void> {
    this.child.send({ role: 'crowd', port, count });
    await once(this.child, 'message');
  }

  /** Milliseconds until each stream of the crowd has echoed once more. Throws when one has ended. */
  async crowdAgain(): Promise<number> {
    this.child.send({ role: 'crowd again' });
    const [result] = (await once(this.child, 'message')) as [{ ms?: number; error?: string }];
    if (result.ms === undefined) throw new Error(result.error);
    return result.ms;
  }

  async release(): Promise<void> {
    this.child.send({ role: 'release' });
    await once(this.child, 'message');
  }

  async cpuSeconds(): Promise<number> {
    this.child.send({ role: 'cpu' });
    const [usage] = (await once(this.child, 'message')) as [NodeJS.CpuUsage];
    return (usage.user + usage.system) / 1e6;
  }

  stop(): void {
    this.child.kill('SIGKILL');
  }
}

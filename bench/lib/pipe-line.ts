import { freePort } from '../../tests/harness/static-mesh.ts';
import { TrafficProcess } from './traffic.ts';

/** Plain TCP pipes of Node in a line, a process each: what the same hops cost without a mesh. */
export class PipeLine {
  readonly pipes: readonly TrafficProcess[];
  /** The port that leads to the target. */
  readonly port: number;

  private constructor(pipes: readonly TrafficProcess[], port: number) {
    this.pipes = pipes;
    this.port = port;
  }

  static async start(count: number, targetPort: number): Promise<PipeLine> {
    const pipes: TrafficProcess[] = [];
    let to = targetPort;
    for (let i = 0; i < count; i++) {
      const port = await freePort();
      pipes.push(await new TrafficProcess().pipe(port, to));
      to = port;
    }
    return new PipeLine(pipes, to);
  }

  stop(): void {
    for (const pipe of this.pipes) pipe.stop();
  }
}

/** What work costs a node's one thread, in milliseconds; calibrated on the real program, see docs/reference/simulator.md. */
interface CpuCost {
  readonly eventMs: number;
  readonly kibibyteMs: number;
  /** One side of one TLS handshake with ML-DSA. */
  readonly handshakeMs: number;
}

export const CALIBRATED_COST: CpuCost = { eventMs: 0.015, kibibyteMs: 0.002, handshakeMs: 3 };

import { constants } from 'node:crypto';

/** The one key exchange and the one signature family; there is no other to fall back to. */
export const POST_QUANTUM_GROUP = 'X25519MLKEM768';
/** 87 is the root's, whose signature the chain shows. */
const POST_QUANTUM_SIGNATURES = 'mldsa65:mldsa87';

export const postQuantumTls = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ecdhCurve: POST_QUANTUM_GROUP,
  sigalgs: POST_QUANTUM_SIGNATURES,
  secureOptions: constants.SSL_OP_NO_TICKET,
} as const;

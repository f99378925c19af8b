import { sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { ok } from '#kernel/result.ts';
import type { CertificatePort, SigningPort } from '#control/ports.ts';
import type { Certificate } from '#io/x509-asn1/certificate.ts';
import { sha256Bytes } from '#io/x509-asn1/snapshot-verifier.ts';
import { keyHashOf } from '#io/x509-asn1/keys.ts';
import { signSvid } from '#io/x509-peculiar/authority.ts';
import type { Authority } from '#io/x509-peculiar/certificate.ts';
import { readCsr } from '#io/x509-peculiar/request.ts';

/** Certificates for the control plane's decisions, signed by `issuer`. */
export function certificatePort(issuer: Authority, lifeMs: number): CertificatePort {
  return {
    openRequest: async (csr) => {
      const key = await readCsr(csr);
      if (!key.ok) return key;
      const publicKey = key.value;
      return ok({
        keyHash: keyHashOf(publicKey),
        sign: async (spiffeId, name, wallMs) => signSvid({ issuer, spiffeId, name, publicKey, wallMs, lifeMs }),
      });
    },
  };
}

/** Signatures by the control plane's own SVID. */
export function signingPort(certificate: Certificate, privateKey: KeyObject): SigningPort {
  return {
    signerHash: sha256Bytes(certificate.der),
    signerCertificate: certificate.der,
    sign: (message) => new Uint8Array(sign(null, message, privateKey)),
  };
}

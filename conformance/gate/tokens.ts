// Issues JSON Web Tokens with the claims of Dex's tokens and of Kubernetes' ServiceAccount tokens.
import { createSign, generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto'

/** A set of public keys (RFC 7517). */
export interface KeySet {
  readonly keys: readonly object[]
}

/** The issuer of Kubeflow's Dex, whose tokens every Kubeflow gateway accepts. */
export const DEX = 'http://dex.auth.svc.cluster.local:5556/dex'
/** The issuer of the cluster's ServiceAccount tokens, which gateways accept only with one of Kubeflow's m2m overlays. */
export const CLUSTER = 'https://kubernetes.default.svc.cluster.local'

const LIFETIME_SECONDS = 3600

/** Signs tokens with RS256 (RFC 7518 §3.3). */
export class TokenIssuer {
  readonly #keyId = randomUUID()
  readonly #private: KeyObject
  /** The key that verifies the tokens. */
  readonly jwks: KeySet

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    this.#private = privateKey
    const use = { kid: this.#keyId, use: 'sig', alg: 'RS256' }
    this.jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), ...use }] }
  }

  /** Signs any claims; `iat` and `exp` default to now and in an hour. */
  sign(claims: Readonly<Record<string, unknown>>): string {
    const nowSeconds = Math.floor(Date.now() / 1000)
    const header = encoded({ alg: 'RS256', typ: 'JWT', kid: this.#keyId })
    const payload = encoded({ iat: nowSeconds, exp: nowSeconds + LIFETIME_SECONDS, ...claims })
    const signature = createSign('RSA-SHA256').update(`${header}.${payload}`).sign(this.#private, 'base64url')
    return `${header}.${payload}.${signature}`
  }

  /** Returns a token like Dex's id_token. The gateway takes the user's name from `email`. */
  ofUser(email: string, claims: Readonly<Record<string, unknown>> = {}): string {
    const user = { sub: `subject-of-${email}`, email, email_verified: true, aud: 'kubeflow-oidc-authservice' }
    return this.sign({ iss: DEX, ...user, ...claims })
  }

  /** Returns a token like the one that the kubelet projects into a pod. The gateway takes the user's name from `sub`. */
  ofServiceAccount(namespace: string, name: string, claims: Readonly<Record<string, unknown>> = {}): string {
    const kubernetes = { namespace, serviceaccount: { name, uid: randomUUID() } }
    return this.sign({
      iss: CLUSTER,
      sub: `system:serviceaccount:${namespace}:${name}`,
      aud: [CLUSTER],
      'kubernetes.io': kubernetes,
      ...claims,
    })
  }
}

function encoded(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}

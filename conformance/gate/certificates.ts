// Creates the certificates of a service mesh: one authority, and one workload certificate for each identity.
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Paths of PEM files. */
export interface CertificateFiles {
  readonly certificate: string
  readonly key: string
}

/** Issues workload certificates, whose SPIFFE URI is the workload's identity. */
export class MeshAuthority {
  readonly #folder: string
  /** Path of the authority's certificate. */
  readonly ca: string
  readonly #key: string

  /** @param folder where the files are written */
  constructor(folder: string) {
    this.#folder = folder
    this.ca = join(folder, 'mesh-ca.pem')
    this.#key = join(folder, 'mesh-ca.key')
    const usage = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign']
    openssl('req', '-x509', ...newKey(this.#key), '-out', this.ca, '-days', '2', '-subj', '/O=mesh', ...usage)
  }

  /** Issues a certificate for a ServiceAccount. */
  issue(namespace: string, serviceAccount: string): CertificateFiles {
    const name = `${namespace}.${serviceAccount}`
    const certificate = join(this.#folder, `${name}.pem`)
    const key = join(this.#folder, `${name}.key`)
    const request = join(this.#folder, `${name}.csr`)
    const extensions = join(this.#folder, `${name}.ext`)
    writeFileSync(
      extensions,
      `subjectAltName=critical,URI:spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}\n`,
    )
    openssl('req', '-new', ...newKey(key), '-out', request, '-subj', '/')
    const authority = ['-CA', this.ca, '-CAkey', this.#key, '-CAcreateserial', '-extfile', extensions]
    openssl('x509', '-req', '-in', request, '-out', certificate, '-days', '2', ...authority)
    return { certificate, key }
  }
}

function newKey(file: string): string[] {
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', file]
}

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

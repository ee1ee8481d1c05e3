// The address, login and TLS settings of one MQTT user.
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { portOf } from '../../broker-flags.ts'

/** TLS settings, with the file names of the connector's configuration. */
export interface ProbeTls {
  readonly caFile?: string | undefined
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
  readonly serverName?: string | undefined
  readonly insecureSkipVerify?: boolean | undefined
}

/** Where and as whom to connect. */
export interface ProbeTarget {
  /** Without user name and password. */
  readonly url: URL
  readonly mqttVersion: 5 | '3.1.1'
  readonly username: string | undefined
  /** Reads the password. @throws if its file cannot be read */
  readonly password: () => string | undefined
  readonly tls: ProbeTls
  readonly keepAliveSeconds: number
  /** The option that sets the trusted authorities: `broker.tls.caFile`, or `--cafile`. */
  readonly caOption: string
}

/** Whether connections to the target use TLS. */
export function isTls({ url }: ProbeTarget): boolean {
  return url.protocol === 'mqtts:' || url.protocol === 'wss:'
}

/** Returns host, without brackets, and port. */
export function placeOf({ url }: ProbeTarget): { readonly host: string; readonly port: number } {
  return { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: portOf(url) }
}

/** Returns the address for messages, without login. */
export function shownAddress({ url }: ProbeTarget): string {
  return `${url.protocol}//${url.host}${url.pathname === '/' ? '' : url.pathname}`
}

/** Reads the TLS files. @throws if a file cannot be read */
export function tlsOptions(target: ProbeTarget) {
  const { caFile, certFile, keyFile, serverName, insecureSkipVerify } = target.tls
  const { host } = placeOf(target)
  return {
    ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }),
    ...(certFile === undefined ? {} : { cert: readFileSync(certFile) }),
    ...(keyFile === undefined ? {} : { key: readFileSync(keyFile) }),
    rejectUnauthorized: insecureSkipVerify !== true,
    minVersion: 'TLSv1.2' as const,
    // SNI takes only host names (RFC 6066 §3).
    ...(serverName !== undefined ? { servername: serverName } : isIP(host) === 0 ? { servername: host } : {}),
  }
}

// Runs the real oauth2-proxy with Kubeflow's options, without an identity provider behind it.
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from '../fixtures/cache-folder.ts'
import { freePort } from '../fixtures/free-port.ts'
import { cleanEnvironment, spawnTied } from '../fixtures/processes.ts'
import type { LoginReply } from './login-stub.ts'

/** A running oauth2-proxy. */
export interface LoginService {
  readonly port: number
  stop(): Promise<void>
}

const START_TIMEOUT_MS = 60_000
const POLL_MS = 50
const DEX = 'http://dex.auth.svc.cluster.local:5556/dex'

/** Starts oauth2-proxy. @throws Error if it is not built, with the remedy, or with its log if it does not start */
export async function startOauth2Proxy(reply: LoginReply): Promise<LoginService> {
  const port = await freePort()
  const child = spawnTied(
    program(),
    [
      `--http-address=127.0.0.1:${port}`,
      '--provider=oidc',
      `--oidc-issuer-url=${DEX}`,
      '--skip-oidc-discovery=true',
      '--login-url=/dex/auth',
      // Only a login would call these.
      `--redeem-url=${DEX}/token`,
      `--oidc-jwks-url=${DEX}/keys`,
      '--scope=profile email groups openid',
      '--email-domain=*',
      '--upstream=static://200',
      '--skip-auth-route=^/dex/',
      '--api-route=/api/',
      '--api-route=/apis/',
      '--redirect-url=/oauth2/callback',
      '--relative-redirect-url=true',
      '--client-id=kubeflow-oidc-authservice',
      '--client-secret=not-used',
      `--cookie-secret=${randomBytes(16).toString('hex')}`,
      '--cookie-name=oauth2_proxy_kubeflow',
      '--cookie-secure=false',
      '--custom-sign-in-logo=-',
      '--provider-display-name=Dex',
      `--skip-provider-button=${reply === 'redirect'}`,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: cleanEnvironment() },
  )
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (log += String(chunk)))
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const stop = async (): Promise<void> => {
    if (!hasEnded()) child.kill('SIGKILL')
    await ended
  }
  const until = Date.now() + START_TIMEOUT_MS
  while (Date.now() < until && !hasEnded()) {
    if (await isReady(port)) return { port, stop }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  await stop()
  throw new Error(`oauth2-proxy did not start. Its log:\n${log}`)
}

// scripts/login-service.mjs uses the same folder name.
function program(): string {
  const hash = createHash('sha256')
  for (const file of ['go.mod', 'go.sum']) hash.update(readFileSync(new URL(`go/${file}`, import.meta.url)))
  const path = join(cacheFolder(), `oauth2-proxy-${hash.digest('hex').slice(0, 12)}`, 'oauth2-proxy')
  if (existsSync(path)) return path
  throw new Error(`oauth2-proxy is missing (${path}). Run "npm test" once to build it.`)
}

function isReady(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/ping`, { signal: AbortSignal.timeout(2_000) }).then(
    ({ status }) => status === 200,
    () => false,
  )
}

// Tests tokens that rotate every two seconds while the connector is under load: no request fails.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConfigInput } from '@inferwire/connector'
import { afterAll, expect, test } from 'vitest'
import { startMosquitto } from './fixtures/mosquitto.ts'
import { OidcIssuer } from './fixtures/oidc-issuer.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { TokenProxy } from './fixtures/token-proxy.ts'
import { verifiedClaims, type PublicKeys } from './fixtures/verify-token.ts'
import { TokenIssuer } from './gate/tokens.ts'
import { ConnectorProcess } from './rig/connector-process.ts'
import { FlowLoad } from './rig/flow-load.ts'
import { FakeModelServer } from './rig/model-server.ts'

type Credential = NonNullable<ConfigInput['credentials']>[string]

const SECONDS = Number(process.env['ROTATION_SECONDS'] ?? 15)
const EVERY_SECONDS = 2
// Few, so that a busy machine can keep up.
const PER_SECOND = 15
// Gateways accept tokens for a while after their end; Envoy's default is 60 s. On a busy machine, a call needs seconds.
const LEEWAY_MS = 6_000
const CLIENT = { clientId: 'inferwire', clientSecret: 'secret', audience: 'models' }

const closers: (() => unknown)[] = []
afterAll(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})
function closing<Part extends { stop(): unknown }>(part: Part): Part {
  closers.push(() => part.stop())
  return part
}

test(
  'no request fails while tokens rotate every two seconds, are revoked once, and their files vanish or are empty in between',
  async () => {
    const folder = tempFolder('rotation')
    const cluster = new TokenIssuer()
    const files = {
      token: join(folder, 'token'),
      subject: join(folder, 'subject'),
      secret: join(folder, 'secret'),
    }
    writeFileSync(files.secret, CLIENT.clientSecret)
    const rotate = (): void => {
      const exp = Math.floor(Date.now() / 1000) + EVERY_SECONDS
      const fresh = cluster.ofServiceAccount('inferwire', 'inferwire', { exp })
      writeFileSync(files.token, fresh)
      writeFileSync(files.subject, fresh)
    }
    rotate()
    let ticks = 0
    let mayVanish = false
    const tick = (): void => {
      ticks += 1
      if (ticks % 2 === 0) return rotate()
      if (!mayVanish) return
      if (ticks % 4 === 1) rmSync(files.token)
      else writeFileSync(files.token, '')
    }
    const timer = setInterval(tick, (EVERY_SECONDS * 1000) / 2)
    closers.push(() => clearInterval(timer))

    const broker = closing(await startMosquitto())
    const model = closing(await FakeModelServer.start({ keeps: () => false }))
    const issuer = closing(
      await OidcIssuer.start({
        ...CLIENT,
        lifetimeSeconds: EVERY_SECONDS,
        subjectKeys: () => cluster.jwks,
        leewayMs: LEEWAY_MS,
      }),
    )
    const proxyOf = async (keys: () => PublicKeys): Promise<TokenProxy> =>
      closing(await TokenProxy.start(model.url, (token) => void verifiedClaims(token, keys(), LEEWAY_MS)))
    const ofFile = await proxyOf(() => cluster.jwks)
    const ofClient = await proxyOf(() => issuer.keys)
    const ofExchange = await proxyOf(() => issuer.keys)
    const oauth = {
      tokenUrl: issuer.tokenUrl,
      clientId: CLIENT.clientId,
      clientSecretFile: files.secret,
    }
    const ways: readonly [name: string, proxy: TokenProxy, credential: object][] = [
      ['file', ofFile, { kind: 'token-file', tokenFile: files.token }],
      ['client', ofClient, { kind: 'oauth-client-credentials', ...oauth }],
      [
        'exchange',
        ofExchange,
        {
          kind: 'oauth-token-exchange',
          ...oauth,
          subjectTokenFile: files.subject,
          subjectTokenType: 'jwt',
        },
      ],
    ]
    // In a process of its own: the issuer, the proxies and the load already share this one.
    const connector = await ConnectorProcess.create({
      broker: { url: broker.url },
      credentials: Object.fromEntries(ways.map(([name, , credential]) => [name, credential as Credential])),
      models: Object.fromEntries(
        ways.map(([name, { url }]) => [name, { url, protocolVersion: 'v1', credential: name }]),
      ),
    })
    await connector.startReady()
    closers.push(() => connector.end('SIGTERM'))

    const flows = ways.map(([name]) => ({
      name,
      clients: [`load-${name}`],
      model: name,
      perSecond: PER_SECOND,
    }))
    const load = await FlowLoad.start({ port: broker.port, flows })
    closers.push(() => load.close())
    mayVanish = true
    await load.runFor((SECONDS * 1000) / 2)
    // Once, all tokens are refused before they expire. The file must then contain the new token.
    mayVanish = false
    rotate()
    for (const [, proxy] of ways) proxy.revokeAll()
    await load.runFor((SECONDS * 1000) / 2)
    await load.settle()

    const { unanswered, crossed, phantom, errors, requests } = load.verdict
    expect({ unanswered, crossed, phantom, errors }).toEqual({
      unanswered: 0,
      crossed: 0,
      phantom: 0,
      errors: [],
    })
    // On a slow machine, the load generator sends fewer requests.
    expect(requests).toBeGreaterThan((SECONDS * PER_SECOND * ways.length) / 2)
    // At least two thirds of the rotations were used, by each credential.
    const tokensMin = Math.floor(SECONDS / EVERY_SECONDS / 1.5)
    for (const [name, { accepted }] of ways) expect(accepted.size, name).toBeGreaterThanOrEqual(tokensMin)
    // Each call that was refused has been repeated.
    expect([ofClient, ofExchange].every(({ refusals }) => refusals.includes('revoked'))).toBe(true)
    // The file's mistakes were noticed, but the last token stayed in use.
    const failed = connector
      .lines('credential_failed')
      .map(({ text }) => text)
      .join('\n')
    expect(failed).toContain('cannot be read (ENOENT)')
    expect(failed).toContain('is empty')
  },
  SECONDS * 1000 + 120_000,
)

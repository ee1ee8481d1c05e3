// Tests `inferwire doctor`: it finds each planted fault, names it and its remedy, and finds none in a healthy system.
import { readFileSync } from 'node:fs'
import { manifestParts } from '@inferwire/kubernetes'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PLANTED_FAULTS } from './doctor/planted-faults.ts'
import { withUrl } from './doctor/plants.ts'
import { losesPubackOf } from './doctor/stand-ins.ts'
import { CANARIES, configFile, passwordFile, runDoctor, startWorld, type World } from './doctor/world.ts'
import { CHECKS } from 'inferwire'
import { runConnector } from './fixtures/connector.ts'
import { freePort } from './fixtures/free-port.ts'
import { inferwire } from './fixtures/inferwire.ts'
import { TestClient } from './fixtures/mqtt-client.ts'

let healthy: World

beforeAll(async () => {
  healthy = await startWorld()
})
afterAll(() => healthy?.stop())

function command(config: object): string[] {
  const { folder } = healthy
  return [
    'doctor',
    '-c',
    configFile(folder, config),
    '-u',
    'ann',
    '--password-file',
    passwordFile(folder, 'ann'),
  ]
}

describe('a healthy system', () => {
  test('has no findings, and the exit code is 0', async () => {
    const { code, stdout, stderr } = await inferwire([...command(healthy.config), '--sample'])
    expect(stderr).toBe('')
    expect(stdout).not.toMatch(/FAULT|^ *warning|canary/m)
    expect(stdout).toMatch(/No faults were found: \d+ passed, 9 not checked\.\n$/)
    expect(stdout).toContain('skipped broker.tls: not checked, because the broker is not addressed with TLS')
    expect(code).toBe(0)
  })

  test('is not changed: nothing stays on the broker, and no session ends', async () => {
    const observer = await TestClient.connect(healthy.broker.url, { username: 'ann', password: CANARIES.ann })
    await observer.subscribe('infer/#')
    const before = healthy.connector!.log.length
    await runDoctor(healthy.folder, healthy.config)
    const fresh = await TestClient.connect(healthy.broker.url, { username: 'ann', password: CANARIES.ann })
    await fresh.subscribe('infer/models/+')
    await fresh.subscribe('infer/status/+')
    await fresh.wait(({ topic }) => topic.startsWith('infer/status/'), 'a status')
    const topics = fresh.received.map(({ topic }) => topic)
    expect(topics.filter((topic) => topic.includes('doctor'))).toEqual([])
    expect(healthy.connector!.log.slice(before).filter((line) => /"level":(?:40|50|60)/.test(line))).toEqual(
      [],
    )
    const retained = observer.received.find(({ topic }) => topic.endsWith('/retained'))
    // The broker removes the message by itself if the command is interrupted.
    expect(retained!.properties.messageExpiryInterval).toBeGreaterThan(0)
    await Promise.all([observer.close(), fresh.close()])
  })

  test('is not changed either if the connection breaks while a retained message is published', async () => {
    const { port, stop, lost } = await losesPubackOf('inferwire doctor', healthy.broker.port)
    const config = withUrl(healthy.config, `mqtt://127.0.0.1:${port}`)
    const { faults } = await runDoctor(healthy.folder, config)
    stop()
    expect(lost()).toBe(1)
    expect(faults).toEqual(['relay.retained'])
    const fresh = await TestClient.connect(healthy.broker.url, { username: 'ann', password: CANARIES.ann })
    await fresh.subscribe('infer/reply/ann/#')
    await fresh.subscribe('infer/status/+')
    await fresh.wait(({ topic }) => topic.startsWith('infer/status/'), 'a status')
    expect(fresh.received.filter(({ topic }) => topic.startsWith('infer/reply/'))).toEqual([])
    await fresh.close()
  })

  test('may have several connectors with different models under one root', async () => {
    const world = await startWorld()
    const { config, folder, upstream } = world
    const digits = { digits: { url: upstream.url, protocolVersion: 'v2' as const } }
    const second = await runConnector({ ...config, models: digits })
    try {
      const { faults, warnings, results } = await runDoctor(folder, config)
      expect({ faults, warnings }).toEqual({ faults: [], warnings: [] })
      const answer = results.find(({ id }) => id === 'connector.answer')
      expect(answer!.findings[0]!.message).toContain('2 connectors answer')
    } finally {
      await second.connector.stop()
      await world.stop()
    }
  })
})

test('the guide runs the command that the image has, with the file that the pod mounts', () => {
  const entry = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(read('../Dockerfile'))![1]!) as string[]
  const set = manifestParts().connector.find(({ kind }) => kind === 'StatefulSet')!
  const [{ args }] = (set as unknown as PodOwner).spec.template.spec.containers as [{ args: string[] }]
  const file = args[args.indexOf('--config') + 1]
  const { name, namespace } = set.metadata
  expect(read('../docs/guides/doctor.md').replaceAll(/\\\n\s*/g, '')).toContain(
    `kubectl exec statefulset/${name} -n ${namespace} -- ${entry.join(' ')} doctor -c ${file}\n`,
  )
})

function read(path: string): string {
  return readFileSync(new URL(path, import.meta.url), 'utf8')
}

interface PodOwner {
  readonly spec: { readonly template: { readonly spec: { readonly containers: object[] } } }
}

describe('the command', () => {
  test('prints faults with their remedies, and exits with 1', async () => {
    const { code, stdout } = await inferwire(
      command({ ...healthy.config, models: { digits: { url: 'http://127.0.0.1:9' } } }),
    )
    expect(stdout).toMatch(/FAULT connector\.models: The model "digits".*\n {6}Load this configuration/)
    expect(stdout).toMatch(/Faults were found: \d+ passed, 2 failed/)
    expect(code).toBe(1)
  })

  test('prints JSON for monitoring', async () => {
    const { code, stdout } = await inferwire([...command(healthy.config), '-o', 'json'])
    const { healthy: isHealthy, checks } = JSON.parse(stdout) as {
      healthy: boolean
      checks: { id: string }[]
    }
    expect(isHealthy).toBe(true)
    expect(checks.map(({ id }) => id)).toEqual(CHECKS.map(({ id }) => id))
    expect(code).toBe(0)
  })

  test('without a configuration, checks the broker and the connector as a client', async () => {
    const { broker, folder } = healthy
    const place = ['-p', String(broker.port), '-u', 'ann', '--password-file', passwordFile(folder, 'ann')]
    const { code, stdout } = await inferwire(['doctor', ...place])
    expect(stdout).toContain('ok connector.answer: A connector answers (model_not_found')
    expect(stdout).toContain(
      "skipped broker.login: not checked, because the connector's configuration is unknown",
    )
    expect(code).toBe(0)
  })

  test('ends with an error if the broker is missing, within the time limits', async () => {
    const { code, stdout } = await inferwire(['doctor', '-p', String(await freePort())])
    expect(stdout).toMatch(
      /FAULT broker\.port[\s\S]*skipped .*connector\.answer: not checked, because broker\.port failed/,
    )
    expect(code).toBe(1)
  })
})

describe.concurrent('planted faults', () => {
  test.each(PLANTED_FAULTS.map((fault) => [fault.name, fault] as const))(
    '%s',
    async (_name, planted) => {
      const undo: (() => unknown)[] = []
      const world = planted.world === undefined ? healthy : await startWorld(planted.world)
      if (world !== healthy) undo.push(() => world.stop())
      try {
        const { config, options } = await planted.plant(world, (step) => undo.push(step))
        const { faults, warnings, results } = await runDoctor(world.folder, config, options)
        expect({ faults, warnings }).toEqual({
          faults: planted.faults,
          warnings: planted.warnings ?? [],
        })
        const cause = planted.faults[0] ?? planted.warnings?.[0]
        const [finding] = results
          .find(({ id }) => id === cause)!
          .findings.filter(({ state }) => state !== 'ok')
        expect(finding!.message).toMatch(planted.message)
        expect(finding!.remedy).toMatch(planted.remedy)
        expect(JSON.stringify(results)).not.toMatch(/canary/)
      } finally {
        for (const step of undo.toReversed()) await step()
      }
    },
    120_000,
  )
})

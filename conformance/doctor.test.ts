// Tests `inferwire doctor`: it finds each planted fault, names it and its remedy, and finds none in a healthy system.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PLANTED_FAULTS } from './doctor/planted-faults.ts'
import { CANARIES, configFile, passwordFile, runDoctor, startWorld, type World } from './doctor/world.ts'
import { CHECKS } from 'inferwire'
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
    await Promise.all([observer.close(), fresh.close()])
  })
})

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

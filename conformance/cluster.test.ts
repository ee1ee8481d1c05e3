// The guide in a cluster: a real control plane, Traefik and Mosquitto, with stand-ins for what runs on nodes.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startCluster, type Cluster } from './cluster/cluster.ts'
import { commandsOf, PageReader } from './cluster/page-commands.ts'

let cluster: Cluster
let reader: PageReader

beforeAll(async () => {
  cluster = await startCluster()
  reader = new PageReader(cluster.env)
})

afterAll(async () => {
  await cluster?.stop()
})

describe('docs/guides/from-the-guide.md, line by line', () => {
  const commands = commandsOf('docs/guides/from-the-guide.md')

  test.each(commands)('$line', { timeout: 320_000 }, async ({ line, input, output }) => {
    const ended = await reader.type(line, input)
    expect(ended, `${ended.stderr}\n${cluster.report()}`).toMatchObject({ code: 0 })
    if (output !== undefined) expect(ended.stdout.trim()).toBe(output)
  })

  test('has the commands of the guide that the project began with', () => {
    const lines = commands.map(({ line }) => line)
    expect(lines).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^mosquitto_passwd credentials\.txt \w+$/),
        'kubectl create ns mosquitto',
        'kubectl apply -f ./resources/mosquitto/ -n mosquitto',
        'kubectl apply -f ./resources/inferwire/ -n inferwire',
      ]),
    )
  })
})

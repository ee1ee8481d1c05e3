// Target: turns YAML and environment variables into a configuration or a ConfigError. A printed configuration must
// load again.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { ConfigError, loadConfig, printConfig } from '../../../packages/connector/src/config/index.ts'
import { bytesOf, claim, joined, shapeOf, tokens, words, type FuzzTarget } from '../target.ts'

// The file is in memory if possible, because each run writes it.
const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'inferwire-fuzz-'))
const file = join(folder, 'inferwire.yaml')
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const WHOLE = `name: plant-7
root: plant/infer
broker:
  url: mqtts://broker:8883
  mqttVersion: "3.1.1"
  tls: { serverName: broker, insecureSkipVerify: true }
  reconnect: { minMs: 10, maxMs: 1e3 }
models:
  iris: &iris
    url: http://iris.models.svc/prefix
    versions: [1, "2"]
    passHeaders: [x-request-id]
    credential: { kind: none }
    limits: { concurrency: 0x10, queueBytesMax: 1048576 }
    example: { operation: infer, body: { inputs: [{ data: [1.5, null, "é"] }] } }
  other: { url: https://[::1]:8443, host: "a.b:80", protocolVersion: v1, modelName: up.stream }
policy:
  allow:
    - { clients: [line-*, "*"], models: ["*"] }
log: { level: debug }
`

/** Fuzzes the configuration loader. Fields: YAML, then alternating names and values of environment variables. */
export const target: FuzzTarget = {
  name: 'config',
  // The parser takes 30 µs for each mistake, and every second byte may be a mistake.
  inputBytesMax: 4096,
  seedInputs: [
    joined(WHOLE),
    joined(
      'models: { iris: { url: http://h } }',
      'INFERWIRE_BROKER_URL',
      'ws://h/mqtt',
      'INFERWIRE_LOG_LEVEL',
      'warn',
    ),
    joined('{}', 'INFERWIRE_BROKER_PASSWORD', 'canary', 'INFERWIRE_BROKER_USERNAME', 'u'),
    joined('a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n'),
    joined('? [a, b]\n: |2-\n   text\n%TAG ! tag:x,2000:\n--- !!set {a, b}\n...\n'),
    joined('models: {<<: *x, !!binary "aGk=": {}, 1: 2, null: 3, .nan: 4}'),
  ],
  dictionary: [
    ...words(
      'name root broker url tls models credential kind file limits policy allow clients example body admin',
    ),
    ...words(
      '__proto__: |constructor: |<<: *a|&a |*a|!!binary |!!set |? |: |- |\t|{|}|[|]|"|\'|#|,|null|~|true',
      '|',
    ),
    ...words(
      '0x10 0o7 .inf .nan 1e999 -0 2001-12-14 http://h mqtt://u:p@h /dev/null \\x00 token-file valueFile',
    ),
    ...words('INFERWIRE_ROOT INFERWIRE_ADMIN_PORT INFERWIRE_BROKER_PASSWORD'),
    ...tokens('|\n ', '>-\n ', '\n', '  ', '---\n', '...\n', '%YAML 1.1\n'),
    ...tokens([0xff], [0xef, 0xbb, 0xbf], [0xe2, 0x80, 0xa8]),
  ],
  run(input) {
    const [yaml, ...pairs] = bytesOf(input, Number.POSITIVE_INFINITY)
    const env: Record<string, string> = Object.create(null) as Record<string, string>
    for (let index = 0; index + 1 < pairs.length; index += 2) {
      env[pairs[index]!.toString('utf8')] = pairs[index + 1]!.toString('utf8')
    }
    // Writes raw bytes, which need not be UTF-8.
    writeFileSync(file, yaml!)
    try {
      const config = loadConfig({ file, env })
      const text = printConfig(config)
      const password = config.broker.password?.reveal() ?? ''
      if (password.length > 8) claim(!text.includes(password), 'a password is printed')
      writeFileSync(file, text)
      const again = loadConfig({ file, env: config.broker.password === undefined ? {} : env })
      claim(isDeepStrictEqual(again, config), 'a printed configuration loads with different values')
      return `valid ${Object.keys(config.models).length} ${Object.keys(env).length}`
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      const { mistakes, message } = error
      claim(
        mistakes.length > 0 && message.length < 100_000,
        'a ConfigError lists no mistakes, or its message is too long',
      )
      claim(
        !/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(message),
        'a ConfigError contains terminal control characters',
      )
      const [first] = mistakes
      return shapeOf(`${Math.min(3, mistakes.length)} ${first!.message}`)
    }
  },
}

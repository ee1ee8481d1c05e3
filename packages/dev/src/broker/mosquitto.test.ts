// Tests the start of Mosquitto, which must be installed: sudo apt-get install mosquitto.
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startBroker } from './index.ts'
import { findMosquitto } from './mosquitto.ts'
import { RawClient } from './testing/raw-client.ts'

const realTemp = tmpdir()
const realPath = process.env['PATH']
let temp: string

// Each test has its own TMPDIR, so that the test can check which folders the broker leaves behind.
beforeEach(() => {
  temp = mkdtempSync(join(realTemp, 'mosquitto-test-'))
  // After Mosquitto has dropped its privileges, it must still be able to read its configuration.
  chmodSync(temp, 0o755)
  process.env['TMPDIR'] = temp
})
afterEach(() => {
  delete process.env['TMPDIR']
  process.env['PATH'] = realPath
  rmSync(temp, { recursive: true, force: true })
})

test('starts Mosquitto with TCP and WebSocket, and removes its files when it stops', async () => {
  const broker = await startBroker('mosquitto', { mqttPort: 0, wsPort: 0 })
  try {
    const webSocket = await connectAsync(broker.wsUrl!, { protocolVersion: 5, reconnectPeriod: 0 })
    await webSocket.subscribeAsync('a', { qos: 1 })
    const message = new Promise((resolve) =>
      webSocket.once('message', (_topic, payload) => resolve(payload.toString())),
    )
    const client = await RawClient.connect(broker.url)
    client.send({ cmd: 'publish', topic: 'a', payload: 'x', qos: 1, messageId: 1, dup: false, retain: false })
    expect((await client.next('puback')).reasonCode).toBe(0)
    expect(await message).toBe('x')
    await webSocket.endAsync(true)
  } finally {
    const startedAtMs = performance.now()
    await broker.close()
    expect(performance.now() - startedAtMs).toBeLessThan(5_000)
  }
  expect(readdirSync(temp)).toEqual([])
  await expect(RawClient.connect(broker.url)).rejects.toThrow('ECONNREFUSED')
})

test('reports a port that is in use', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await expect(startBroker('mosquitto', { mqttPort: 0, wsPort: port })).rejects.toMatchObject({
    name: 'PortTakenError',
    port,
    option: '--ws-port',
  })
  server.close()
})

test('explains how to install Mosquitto if it is not found', () => {
  if (existsSync('/usr/sbin/mosquitto') || existsSync('/usr/local/sbin/mosquitto')) {
    // findMosquitto also searches folders that are not on PATH.
    expect(findMosquitto('/nowhere')).toMatch(/sbin\/mosquitto$/)
    expect(() => findMosquitto('/nowhere', [])).toThrow('sudo apt-get install mosquitto')
  } else {
    expect(() => findMosquitto('/nowhere')).toThrow('sudo apt-get install mosquitto')
  }
})

test('if Mosquitto does not start, reports its last output', async () => {
  const places = mkdtempSync(join(realTemp, 'mosquitto-fake-'))
  fakeMosquitto(places, 'echo "Error: nothing works today" >&2; exit 3')
  process.env['PATH'] = places
  await expect(startBroker('mosquitto', { mqttPort: 0, wsPort: 0 })).rejects.toThrow('nothing works today')
  expect(readdirSync(temp)).toEqual([])
  rmSync(places, { recursive: true })
})

test('starts without WebSocket if Mosquitto was built without support for it', async () => {
  const real = findMosquitto(realPath ?? '')
  const places = mkdtempSync(join(realTemp, 'mosquitto-fake-'))
  fakeMosquitto(
    places,
    `/bin/grep -q websockets "$2" && { echo "Error: Websockets support not available." >&2; exit 1; }; exec ${real} "$@"`,
  )
  process.env['PATH'] = places
  const lines: string[] = []
  const broker = await startBroker('mosquitto', { mqttPort: 0, wsPort: 0, log: (line) => lines.push(line) })
  expect(broker.wsUrl).toBeUndefined()
  expect(lines).toEqual([expect.stringContaining('without WebSocket')])
  await RawClient.connect(broker.url)
  await broker.close()
  rmSync(places, { recursive: true })
})

function fakeMosquitto(folder: string, script: string): void {
  writeFileSync(join(folder, 'mosquitto'), `#!/bin/sh\n${script}\n`)
  chmodSync(join(folder, 'mosquitto'), 0o755)
}

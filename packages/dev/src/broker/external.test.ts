// Tests the checks of an external broker.
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { useExternalBroker } from './external.ts'
import { startBroker } from './index.ts'

const PORTS = { mqttPort: 0, wsPort: 0 }
let server: Server | undefined
const sockets: Socket[] = []

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
  server?.close()
  server = undefined
})

async function listen(serve: (socket: Socket) => void): Promise<string> {
  server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    serve(socket)
  })
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve))
  return `mqtt://user:secret@127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('accepts a broker that answers, and does not stop it', async () => {
  const running = await startBroker('embedded', PORTS)
  const broker = await startBroker(running.url, PORTS)
  expect(broker).toMatchObject({ kind: 'external', url: running.url })
  await broker.close()
  await (await startBroker(running.url, PORTS)).close()
  await running.close()
})

test("reports a refused connection without the URL's password", async () => {
  const url = await listen(() => {})
  server!.close()
  const failure = useExternalBroker(url)
  await expect(failure).rejects.toThrow(/No MQTT broker answers at mqtt:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/)
  await expect(failure).rejects.not.toThrow('secret')
})

test('reports a server that does not answer', async () => {
  const url = await listen(() => {})
  await expect(useExternalBroker(url, 50)).rejects.toThrow('no answer within 50 ms')
})

test('reports a server that does not use MQTT', async () => {
  const url = await listen((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  await expect(useExternalBroker(url)).rejects.toThrow('does not use MQTT')
})

test('reports a server that closes the connection', async () => {
  const url = await listen((socket) => socket.destroy())
  await expect(useExternalBroker(url)).rejects.toThrow('No MQTT broker answers')
})

test.each(['mqtt://', 'mqtt://a:b:c'])('reports the invalid URL %s', async (url) => {
  await expect(startBroker(url, PORTS)).rejects.toThrow('not valid')
})

test('rejects an unknown kind of broker, and lists the known kinds', async () => {
  await expect(startBroker('rabbit', PORTS)).rejects.toThrow('embedded, mosquitto, or a URL')
})

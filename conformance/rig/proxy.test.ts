// Tests the proxy's toxics with real connections to an echo server.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Proxy } from './proxy.ts'

let echo: Server
let proxy: Proxy
const sockets = new Set<Socket>()

beforeEach(async () => {
  echo = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve))
  proxy = await Proxy.start((echo.address() as AddressInfo).port)
})

afterEach(async () => {
  await proxy.close()
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  echo.close()
})

async function dialled(): Promise<Socket> {
  const socket = connect(proxy.port, '127.0.0.1')
  sockets.add(socket)
  await once(socket, 'connect')
  return socket
}

// Collects text until this many bytes have arrived.
async function read(socket: Socket, bytes: number): Promise<string> {
  let text = ''
  while (text.length < bytes) text += String((await once(socket, 'data'))[0])
  return text
}

test('without toxics, the proxy forwards bytes unchanged, and closes when both ends have closed', async () => {
  const socket = await dialled()
  socket.write('hello')
  expect(await read(socket, 5)).toBe('hello')
  socket.end()
  await once(socket, 'close')
  await expect.poll(() => proxy.connections).toBe(0)
})

test('the proxy delays, throttles and slices without losing or reordering a byte', async () => {
  const text = Array.from({ length: 300 }, (_, index) => index).join(',')
  const socket = await dialled()
  proxy.set('both', { latencyMs: 5, jitterMs: 20, bandwidth: 50_000, sliceBytes: 7 })
  const came = read(socket, text.length * 3)
  for (let count = 0; count < 3; count++) socket.write(text)
  expect(await came).toBe(text.repeat(3))
})

test.each(['up', 'down', 'both'] as const)(
  'the proxy holds all bytes while it is frozen (direction: %s)',
  async (direction) => {
    const socket = await dialled()
    proxy.set(direction, { isFrozen: true })
    let came = ''
    socket.on('data', (chunk: Buffer) => (came += chunk.toString()))
    socket.write('later')
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(came).toBe('')
    proxy.calm()
    await expect.poll(() => came).toBe('later')
  },
)

test('the proxy resets every connection', async () => {
  const socket = await dialled()
  socket.write('x')
  await read(socket, 1)
  const failed = once(socket, 'error')
  proxy.reset()
  expect((await failed)[0]).toMatchObject({ code: 'ECONNRESET' })
})

test('the proxy resets a connection after the given number of bytes', async () => {
  const socket = await dialled()
  socket.on('error', () => {})
  socket.write('x')
  await read(socket, 1)
  let came = ''
  socket.on('data', (chunk: Buffer) => (came += chunk.toString()))
  proxy.resetAfter('down', 4)
  // The reset may arrive before the four bytes.
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.write('abcdefgh')
  await closed
  expect('abcd'.startsWith(came)).toBe(true)
})

test('the proxy refuses connections, and later accepts connections on the same port again', async () => {
  const { port } = proxy
  await proxy.refuse()
  const refused = connect(port, '127.0.0.1')
  expect((await once(refused, 'error'))[0]).toMatchObject({ code: 'ECONNREFUSED' })
  await proxy.accept()
  const socket = await dialled()
  socket.write('again')
  expect(await read(socket, 5)).toBe('again')
})

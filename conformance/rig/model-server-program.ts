// The program of model-server-process.ts: serves all named behaviours, and executes the parent's orders.
import { expiredCertificate } from './expired-certificate.ts'
import { FakeModelServer } from './model-server.ts'

/** A message from the parent. */
export type ModelServerOrder = 'counts' | 'stop' | 'start'

const server = await FakeModelServer.start({ keeps: () => false })
process.on('message', (order: ModelServerOrder) => {
  if (order === 'counts') process.send!(server.counts)
  else void server[order]().then(() => process.send!({ done: order }))
})
process.on('disconnect', () => process.exit(0))
process.send!({ port: server.port, ...(await expiredTls()) })

async function expiredTls(): Promise<object> {
  if (!process.argv.includes('--expired-tls')) return {}
  const certificate = expiredCertificate()
  const { port } = await FakeModelServer.start({ tls: certificate, keeps: () => false })
  return { tlsPort: port, caFile: certificate.caFile }
}

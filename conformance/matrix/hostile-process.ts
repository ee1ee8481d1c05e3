// The hostile model server in a process of its own, in the clear and with an expired certificate.
import { expiredCertificate } from './expired-certificate.ts'
import { HOSTILITIES, startHostileUpstream } from './hostile-upstream.ts'

const certificate = expiredCertificate()
const clear = await startHostileUpstream()
const expired = await startHostileUpstream(certificate)
process.on('message', () => {
  process.send!({ calls: Object.fromEntries(HOSTILITIES.map((name) => [name, clear.calls(name)])) })
})
process.on('disconnect', () => process.exit(0))
process.send!({ port: clear.port, tlsPort: expired.port, caFile: certificate.caFile })

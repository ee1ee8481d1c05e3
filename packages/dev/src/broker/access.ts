// Logins and access rights of the embedded broker: the users come from a Mosquitto password file, and have the access
// rights that the wire contract describes.
import { randomBytes, timingSafeEqual } from 'node:crypto'
import {
  contractRules,
  isAllowed,
  parsePasswordFile,
  readPasswordFile,
  verifyLogin,
  type PasswordFile,
} from '@inferwire/mosquitto'

/** A user name and its password. */
export interface BrokerLogin {
  readonly username: string
  readonly password: string
}

/** A logged-in user. */
export interface BrokerUser {
  readonly name: string
  /** Whether the user may publish to the topic (`write`), or receive messages from it (`read`). */
  may(access: 'read' | 'write', topic: string): boolean
}

/** Logins and access rights of the broker. */
export interface BrokerAccess {
  /** The login of the connector in this process. Its random password changes at every start. */
  readonly connector: BrokerLogin
  /** The login for the example request of this process. Its password is random too. */
  readonly demo: BrokerLogin
  /** Names of the users that the file contained at startup. */
  readonly users: readonly string[]
  /** Resolves with undefined if the login is refused. @throws Error with the reason if the login cannot be checked */
  logIn(username: string | undefined, password: Uint8Array | undefined): Promise<BrokerUser | undefined>
}

/** Reads the file now and at every login. @throws Error if the file cannot be read or has no usable login */
export function readAccess(path: string): BrokerAccess {
  const users = [...readUsers(path).users.keys()]
  if (users.length === 0) {
    throw new Error(
      `The password file "${path}" has no usable login. To see why, run: inferwire passwd --lint ${path}`,
    )
  }
  // The random part prevents a clash with a name in the file.
  const connector = ownLogin(`connector-${randomBytes(6).toString('hex')}`)
  const demo = ownLogin('demo')
  return { connector, demo, users, logIn }

  async function logIn(username = '', bytes: Uint8Array = new Uint8Array()): Promise<BrokerUser | undefined> {
    const password = utf8(bytes)
    if (password === undefined) return undefined
    if (isLogin(connector, username, password)) return brokerUser(username, true)
    if (isLogin(demo, username, password)) return brokerUser(username, false)
    return (await verifyLogin(readUsers(path), username, password)) ? brokerUser(username, false) : undefined
  }
}

function readUsers(path: string): PasswordFile {
  try {
    return parsePasswordFile(readPasswordFile(path).text)
  } catch (error) {
    throw new Error(
      `The password file "${path}" cannot be read: ${(error as Error).message.replace(/\.$/, '')}. To create it, run: inferwire passwd -c ${path} USER`,
      { cause: error },
    )
  }
}

function ownLogin(username: string): BrokerLogin {
  return { username, password: randomBytes(32).toString('hex') }
}

function isLogin(login: BrokerLogin, username: string, password: string): boolean {
  const [own, given] = [Buffer.from(login.password), Buffer.from(password)]
  return login.username === username && own.length === given.length && timingSafeEqual(own, given)
}

function brokerUser(name: string, isConnector: boolean): BrokerUser {
  const { connector, everyUser } = contractRules()
  const rules = isConnector ? [...connector, ...everyUser] : everyUser
  return { name, may: (access, topic) => isAllowed(rules, name, access, topic) }
}

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

"""Carbonio's administration SOAP as far as provisioning uses it, storing into a slapd.

It checks envelope, namespaces and tokens, answers faults as HTTP 500 with Detail/Error/Code, refuses what
the real one refuses (zimbraId on CreateAccount, immutable attributes, self-membership), and builds entries
the way the server does: ids of its own, mail from name and aliases, transport from the host.
"""

import http.server
import os
import ssl
import subprocess
import threading
import time
import uuid
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape, quoteattr

from directory import Directory, LdapError

SOAP = "{http://www.w3.org/2003/05/soap-envelope}"
CONTEXT = "{urn:zimbra}"
ADMIN, ACCOUNT = "{urn:zimbraAdmin}", "{urn:zimbraAccount}"
IMMUTABLE = {"mail", "zimbramemberof", "zimbracreatetimestamp", "zimbramailalias", "zimbramaildeliveryaddress", "uid"}
HOST = "mbox1.carbonio.example"


class Fault(Exception):
    def __init__(self, code, text=""):
        super().__init__(code)
        self.code = code
        self.text = text or code


def domain_dn(domain):
    return ",".join(f"dc={part}" for part in domain.split("."))


def escape_dn(value):
    out = "".join("\\" + c if c in ',+"\\<>;=' else c for c in value)
    return "\\" + out if out.startswith((" ", "#")) else out


class Standin:
    def __init__(self, port, dn, password, admin="admin@example.com", secret="admin-secret", requests_per_token=0,
                 quotes=False):
        self.directory = Directory(port, dn, password)
        self.admin, self.secret = admin, secret
        self.tokens = {}
        self.requests_per_token = requests_per_token
        self.quotes = quotes  # faults quote the request they refuse
        self.lock = threading.Lock()
        self.writes = 0
        self.requests = 0
        self.bodies = []

    # -- plumbing

    def serve(self, folder):
        certificate = os.path.join(folder, "soap.pem")
        key = os.path.join(folder, "soap.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                        "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out",
                        certificate], check=True, capture_output=True)
        standin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                status, answer = standin.answer(self.path, self.headers.get("Content-Type", ""), body)
                self.send_response(status)
                self.send_header("Content-Type", "text/xml; charset=utf-8")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *unused):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        self.certificate = certificate
        return self

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path, content_type, body):
        with self.lock:
            self.requests += 1
            try:
                if path != "/service/admin/soap":
                    raise Fault("service.UNKNOWN_DOCUMENT", path)
                if not content_type.startswith(("application/soap+xml", "text/xml")):
                    raise Fault("service.PARSE_ERROR", "content type")
                answer = self.dispatch(ElementTree.fromstring(body))
                status = 200
            except ElementTree.ParseError as error:
                status, answer = 500, self.fault("service.PARSE_ERROR", str(error))
            except Fault as fault:
                text = fault.text + (" in " + body.decode("utf-8", "replace") if self.quotes else "")
                status, answer = 500, self.fault(fault.code, text)
            except LdapError as error:
                status, answer = 500, self.fault(self.ldap_fault(error), error.text)
        return status, (f'<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope"><soap:Body>{answer}'
                        "</soap:Body></soap:Envelope>").encode()

    @staticmethod
    def ldap_fault(error):
        if error.code == 68 or "non-unique" in error.text:
            return "account.ACCOUNT_EXISTS"
        if error.code in (17, 65):
            return "account.INVALID_ATTR_NAME"
        return "account.INVALID_ATTR_VALUE" if error.code in (19, 21) else "service.FAILURE"

    @staticmethod
    def fault(code, text):
        return (f"<soap:Fault><soap:Code><soap:Value>soap:Sender</soap:Value></soap:Code><soap:Reason><soap:Text>"
                f"{escape(text)}</soap:Text></soap:Reason><soap:Detail><Error xmlns=\"urn:zimbra\"><Code>{code}</Code>"
                "<Trace>stand-in</Trace></Error></soap:Detail></soap:Fault>")

    def dispatch(self, envelope):
        if envelope.tag != SOAP + "Envelope":
            raise Fault("service.PARSE_ERROR", "no SOAP 1.2 envelope")
        body = envelope.find(SOAP + "Body")
        request = body[0] if body is not None and len(body) else None
        if request is None:
            raise Fault("service.INVALID_REQUEST", "no body")
        context = envelope.find(f"{SOAP}Header/{CONTEXT}context")
        name = request.tag.rpartition("}")[2]
        if request.tag == ADMIN + "AuthRequest":
            return self.authenticate(request)
        token = context.findtext(CONTEXT + "authToken") if context is not None else None
        if not token:
            raise Fault("service.AUTH_REQUIRED")
        if self.tokens.get(token, 0) <= 0:
            raise Fault("service.AUTH_EXPIRED")
        self.tokens[token] -= 1
        self.account = context.findtext(CONTEXT + "account")
        namespace = request.tag.rpartition("}")[0] + "}"
        method = getattr(self, ("admin_" if namespace == ADMIN else "user_") + name, None)
        if method is None or namespace not in (ADMIN, ACCOUNT):
            raise Fault("service.UNKNOWN_DOCUMENT", "unknown document: " + name)
        if not name.startswith("Get"):
            self.writes += 1
        answer = method(request) or ""
        response = name.replace("Request", "Response")
        return f'<{response} xmlns="{namespace[1:-1]}">{answer}</{response}>'

    def authenticate(self, request):
        if request.get("name") != self.admin or request.get("password") != self.secret:
            raise Fault("account.AUTH_FAILED", "authentication failed")
        token = uuid.uuid4().hex
        self.tokens[token] = self.requests_per_token or 1 << 30
        return f'<AuthResponse xmlns="urn:zimbraAdmin"><authToken>{token}</authToken><lifetime>43200000</lifetime></AuthResponse>'

    # -- looking things up

    def one(self, name, value, classes):
        for dn, entry in self.directory.search(name=name, value=value):
            if classes & set(entry.get("objectClass", [])) and "zimbraAlias" not in entry["objectClass"]:
                return dn, entry
        return None

    def by_selector(self, request, element, attribute, classes, missing):
        selector = request.find(ADMIN + element)
        key = "zimbraId" if selector.get("by") == "id" else attribute
        found = self.one(key, selector.text, classes)
        if not found:
            raise Fault(missing, "no such " + selector.text)
        return found

    def by_id(self, request, missing):
        id_ = request.get("id") or request.findtext(ADMIN + "id")
        found = self.directory.search(name="zimbraId", value=id_) if id_ else []
        if not found:
            raise Fault(missing)
        return found[0]

    @staticmethod
    def attributes(request, namespace=ADMIN, key="n"):
        found = {}
        for a in request.findall(namespace + "a"):
            found.setdefault(a.get(key), []).append(a.text or "")
        return found

    @staticmethod
    def show(element, name, entry, hide=("userPassword",)):
        # A CR is written as it is, like the server's own writer does: the reader sees LF.
        body = "".join(f"<a n={quoteattr(k)}>{escape(v)}</a>" for k, vs in entry.items() if k not in hide for v in vs)
        return f"<{element} id={quoteattr(entry['zimbraId'][0])} name={quoteattr(name)}>{body}</{element}>"

    def admin_GetAccountRequest(self, request, element="account"):
        dn, entry = self.by_selector(request, element, "mail", {"zimbraAccount"}, "account.NO_SUCH_ACCOUNT")
        return self.show(element, entry["mail"][0], entry)

    def admin_GetCalendarResourceRequest(self, request):
        return self.admin_GetAccountRequest(request, "calresource")

    def admin_GetCosRequest(self, request):
        dn, entry = self.by_selector(request, "cos", "cn", {"zimbraCOS"}, "account.NO_SUCH_COS")
        return self.show("cos", entry["cn"][0], entry)

    def admin_GetDomainRequest(self, request):
        dn, entry = self.by_selector(request, "domain", "zimbraDomainName", {"zimbraDomain"}, "account.NO_SUCH_DOMAIN")
        return self.show("domain", entry["zimbraDomainName"][0], entry)

    def admin_GetDistributionListRequest(self, request):
        dn, entry = self.by_selector(request, "dl", "mail", {"zimbraDistributionList", "zimbraGroup"},
                                     "account.NO_SUCH_DISTRIBUTION_LIST")
        members = list(entry.get("zimbraMailForwardingAddress", []))
        if "zimbraGroup" in entry["objectClass"]:
            members = [e["mail"][0] for _, e in self.directory.search(name="zimbraMemberOf", value=entry["zimbraId"][0])]
            for _, unit in self.directory.search("cn=external," + dn, scope=0):
                members += unit.get("zimbraMailForwardingAddress", [])
        shown = self.show("dl", entry["mail"][0], entry)
        return shown[:-5] + "".join(f"<dlm>{escape(m)}</dlm>" for m in members) + "</dl>"

    # -- making things

    def admin_CreateCosRequest(self, request):
        name = request.findtext(ADMIN + "name")
        if not name:
            raise Fault("service.INVALID_REQUEST", "name")
        if self.one("cn", name, {"zimbraCOS"}):
            raise Fault("account.COS_EXISTS")
        attributes = self.attributes(request)
        attributes |= {"objectClass": ["zimbraCOS"], "cn": [name], "zimbraId": [str(uuid.uuid4())]}
        self.directory.add(f"cn={escape_dn(name)},cn=cos,cn=zimbra", attributes)
        return self.show("cos", name, attributes)

    def admin_CreateDomainRequest(self, request):
        name = request.get("name")
        if self.one("zimbraDomainName", name, {"zimbraDomain"}):
            raise Fault("account.DOMAIN_EXISTS")
        labels = name.split(".")
        for k in range(len(labels) - 1, 0, -1):
            parent = ".".join(labels[k:])
            if not self.directory.search(domain_dn(parent), scope=0):
                self.directory.add(domain_dn(parent), {"objectClass": ["dcObject", "organization"], "dc": [labels[k]],
                                                       "o": [parent + " domain"]})
        attributes = {"zimbraDomainType": ["local"], "zimbraDomainStatus": ["active"], "zimbraMailStatus": ["enabled"]}
        attributes |= self.attributes(request)
        attributes |= {"objectClass": ["dcObject", "organization", "zimbraDomain"], "dc": [labels[0]],
                       "o": [name + " domain"], "zimbraDomainName": [name], "zimbraId": [str(uuid.uuid4())]}
        dn = domain_dn(name)
        self.directory.add(dn, attributes)
        self.directory.add("ou=people," + dn, {"objectClass": ["organizationalRole"], "ou": ["people"], "cn": ["people"]})
        self.directory.add("cn=groups," + dn, {"objectClass": ["organizationalRole"], "cn": ["groups"]})
        return self.show("domain", name, attributes)

    def checked(self, request, allow=()):
        attributes = self.attributes(request)
        for name in attributes:
            if name.lower() == "zimbraid":
                raise Fault("service.FAILURE", "zimbraId cannot be given")
            if name.lower() in IMMUTABLE and name.lower() not in allow:
                raise Fault("service.INVALID_REQUEST", name + " is immutable")
        return attributes

    def need_domain(self, address):
        domain = address.rpartition("@")[2]
        if not self.one("zimbraDomainName", domain, {"zimbraDomain"}):
            raise Fault("account.NO_SUCH_DOMAIN", domain)
        return domain

    def free_address(self, address):
        if self.directory.search(name="mail", value=address) or self.directory.search(name="zimbraMailAlias", value=address):
            raise Fault("account.ACCOUNT_EXISTS", "already exists: " + address)

    def admin_CreateAccountRequest(self, request, element="account", classes=()):
        address = request.get("name").lower()
        domain = self.need_domain(address)
        self.free_address(address)
        attributes = self.checked(request)
        local = address.split("@")[0]
        if request.get("password") == "short":
            raise Fault("account.INVALID_PASSWORD")
        host = attributes.get("zimbraMailHost", [HOST])[0]
        attributes.setdefault("zimbraAccountStatus", ["active"])
        attributes.setdefault("zimbraMailStatus", ["enabled"])
        attributes.setdefault("cn", [local])
        attributes.setdefault("sn", [local])
        attributes |= {"objectClass": ["inetOrgPerson", "zimbraAccount", *classes], "uid": [local], "mail": [address],
                       "zimbraMailDeliveryAddress": [address], "zimbraId": [str(uuid.uuid4())],
                       "zimbraMailHost": [host], "zimbraMailTransport": [f"lmtp:{host}:7025"],
                       "zimbraCreateTimestamp": [time.strftime("%Y%m%d%H%M%SZ", time.gmtime())]}
        self.directory.add(f"uid={escape_dn(local)},ou=people,{domain_dn(domain)}", attributes)
        return self.show(element, address, attributes)

    def admin_CreateCalendarResourceRequest(self, request):
        return self.admin_CreateAccountRequest(request, "calresource", ["zimbraCalendarResource"])

    def add_alias(self, found, alias):
        dn, entry = found
        domain = self.need_domain(alias)
        self.free_address(alias)
        self.directory.add(f"uid={escape_dn(alias.split('@')[0])},ou=people,{domain_dn(domain)}",
                           {"objectClass": ["zimbraAlias"], "uid": [alias.split("@")[0]],
                            "zimbraId": [str(uuid.uuid4())], "zimbraAliasTargetId": entry["zimbraId"]})
        self.directory.modify(dn, [(0, "mail", [alias]), (0, "zimbraMailAlias", [alias])])

    def admin_AddAccountAliasRequest(self, request):
        self.add_alias(self.by_id(request, "account.NO_SUCH_ACCOUNT"), request.get("alias"))

    def admin_AddDistributionListAliasRequest(self, request):
        self.add_alias(self.by_id(request, "account.NO_SUCH_DISTRIBUTION_LIST"), request.get("alias"))

    def admin_CreateDistributionListRequest(self, request):
        address = request.get("name").lower()
        domain = self.need_domain(address)
        self.free_address(address)
        attributes = self.checked(request)
        local = address.split("@")[0]
        id_ = str(uuid.uuid4())
        attributes.setdefault("zimbraMailStatus", ["enabled"])
        attributes |= {"mail": [address], "zimbraMailAlias": [address], "zimbraId": [id_]}
        attributes.setdefault("zimbraMailHost", [HOST])
        if request.get("dynamic") not in ("1", "true"):
            attributes |= {"objectClass": ["zimbraDistributionList", "zimbraMailRecipient"], "uid": [local]}
            self.directory.add(f"uid={escape_dn(local)},ou=people,{domain_dn(domain)}", attributes)
            return self.show("dl", address, attributes)
        external = str(uuid.uuid4())
        bind = ["uid=zimbra,cn=admins,cn=zimbra"]
        attributes.setdefault("zimbraIsACLGroup", ["TRUE"])
        attributes.setdefault("memberURL", [f"ldap:///??sub?(|(zimbraMemberOf={id_})(zimbraId={external}))"])
        attributes |= {"objectClass": ["groupOfURLs", "dgIdentityAux", "zimbraGroup"], "cn": [local], "dgIdentity": bind}
        dn = f"cn={escape_dn(local)},cn=groups,{domain_dn(domain)}"
        self.directory.add(dn, attributes)
        internal = f"{local}.__internal__@{domain}"
        self.directory.add("cn=internal," + dn, {
            "objectClass": ["groupOfURLs", "dgIdentityAux", "zimbraGroupDynamicUnit"], "cn": ["internal"],
            "mail": [internal], "zimbraMailAlias": [internal], "zimbraMailStatus": ["enabled"], "dgIdentity": bind,
            "memberURL": [f"ldap:///??sub?(zimbraMemberOf={id_})"], "zimbraGroupId": [id_],
            "zimbraId": [str(uuid.uuid4())]})
        self.directory.add("cn=external," + dn, {"objectClass": ["zimbraGroupStaticUnit"], "cn": ["external"],
                                                 "zimbraGroupId": [id_], "zimbraId": [external]})
        return self.show("dl", address, attributes)

    def admin_AddDistributionListMemberRequest(self, request):
        dn, entry = self.by_id(request, "account.NO_SUCH_DISTRIBUTION_LIST")
        have = set(entry.get("zimbraMailForwardingAddress", []))
        own = set(entry.get("mail", [])) | set(entry.get("zimbraMailAlias", []))
        new, outside = [], []
        for member in (m.text.lower() for m in request.findall(ADMIN + "dlm")):
            if member in own:
                raise Fault("service.INVALID_REQUEST", "a list cannot be its own member")
            if "zimbraGroup" not in entry["objectClass"]:
                new += [member] if member not in have and member not in new else []
                continue
            account = self.one("mail", member, {"zimbraAccount"})
            if not account:
                outside.append(member)
            elif entry["zimbraId"][0] not in account[1].get("zimbraMemberOf", []):
                self.directory.modify(account[0], [(0, "zimbraMemberOf", entry["zimbraId"])])
        if new:
            self.directory.modify(dn, [(0, "zimbraMailForwardingAddress", new)])
        if outside:
            self.directory.modify("cn=external," + dn, [(0, "zimbraMailForwardingAddress", outside)])

    def admin_ModifyAccountRequest(self, request):
        dn, entry = self.by_id(request, "account.NO_SUCH_ACCOUNT")
        self.directory.modify(dn, [(2, n, vs) for n, vs in self.checked(request).items()])
        return self.show("account", entry["mail"][0], entry)

    def admin_ModifyDomainRequest(self, request):
        dn, entry = self.by_id(request, "account.NO_SUCH_DOMAIN")
        self.directory.modify(dn, [(2, n, vs) for n, vs in self.attributes(request).items()])
        return self.show("domain", entry["zimbraDomainName"][0], entry)

    def admin_GrantRightRequest(self, request):
        target, grantee, right = (request.find(ADMIN + x) for x in ("target", "grantee", "right"))
        kinds = {"account": ("mail", {"zimbraAccount"}), "dl": ("mail", {"zimbraDistributionList", "zimbraGroup"}),
                 "domain": ("zimbraDomainName", {"zimbraDomain"}), "cos": ("cn", {"zimbraCOS"})}
        found = self.one(kinds[target.get("type")][0], target.text, kinds[target.get("type")][1])
        who = self.one("mail", grantee.text, {"zimbraAccount", "zimbraDistributionList", "zimbraGroup"})
        if not found or not who:
            raise Fault("account.NO_SUCH_ACCOUNT", str(grantee.text))
        ace = f"{who[1]['zimbraId'][0]} {grantee.get('type')} {right.text}"
        if ace not in found[1].get("zimbraACE", []):
            self.directory.modify(found[0], [(0, "zimbraACE", [ace])])

    # -- the user's side, for the account in the context

    def own(self):
        found = self.one("mail", self.account, {"zimbraAccount"}) if self.account else None
        if not found:
            raise Fault("account.NO_SUCH_ACCOUNT", str(self.account))
        if found[1].get("zimbraAccountStatus") == ["maintenance"]:
            raise Fault("account.MAINTENANCE_MODE", "account is in maintenance mode")
        return found

    def below(self, dn, object_class):
        return [e for _, e in self.directory.search(dn, scope=1) if object_class in e["objectClass"]]

    def user_GetSignaturesRequest(self, request):
        dn, entry = self.own()
        found = [entry] if "zimbraSignatureName" in entry else []
        return "".join(f"<signature name={quoteattr(e['zimbraSignatureName'][0])} id={quoteattr(e['zimbraSignatureId'][0])}/>"
                       for e in found + self.below(dn, "zimbraSignature"))

    def user_CreateSignatureRequest(self, request):
        dn, entry = self.own()
        signature = request.find(ACCOUNT + "signature")
        name = signature.get("name")
        others = self.below(dn, "zimbraSignature")
        if name in [e["zimbraSignatureName"][0] for e in others] + entry.get("zimbraSignatureName", []):
            raise Fault("account.SIGNATURE_EXISTS")
        if len(others) + 1 >= 20:
            raise Fault("account.TOO_MANY_SIGNATURES")
        id_ = str(uuid.uuid4())
        attributes = {"zimbraSignatureId": [id_], "zimbraSignatureName": [name]}
        for content in signature.findall(ACCOUNT + "content"):
            html = content.get("type") == "text/html"
            attributes["zimbraPrefMailSignatureHTML" if html else "zimbraPrefMailSignature"] = [content.text or ""]
        if "zimbraSignatureName" not in entry:
            attributes["zimbraPrefDefaultSignatureId"] = [id_]
            self.directory.modify(dn, [(2, n, vs) for n, vs in attributes.items()])
        else:
            attributes["objectClass"] = ["zimbraSignature"]
            self.directory.add(f"zimbraSignatureName={escape_dn(name)},{dn}", attributes)
        return f"<signature name={quoteattr(name)} id={quoteattr(id_)}/>"

    def user_GetIdentitiesRequest(self, request):
        dn, _ = self.own()
        return "".join(f"<identity name={quoteattr(e['zimbraPrefIdentityName'][0])} id=\"x\"/>"
                       for e in self.below(dn, "zimbraIdentity"))

    def user_CreateIdentityRequest(self, request):
        dn, _ = self.own()
        identity = request.find(ACCOUNT + "identity")
        name = identity.get("name")
        attributes = self.attributes(identity, ACCOUNT, "name")
        attributes |= {"objectClass": ["zimbraIdentity"], "zimbraPrefIdentityName": [name],
                       "zimbraPrefIdentityId": [str(uuid.uuid4())]}
        self.directory.add(f"zimbraPrefIdentityName={escape_dn(name)},{dn}", attributes)

    def admin_GetDataSourcesRequest(self, request):
        dn, _ = self.by_id(request, "account.NO_SUCH_ACCOUNT")
        return "".join(f"<dataSource name={quoteattr(e['zimbraDataSourceName'][0])} id=\"x\"/>"
                       for e in self.below(dn, "zimbraDataSource"))

    def admin_CreateDataSourceRequest(self, request):
        dn, _ = self.by_id(request, "account.NO_SUCH_ACCOUNT")
        source = request.find(ADMIN + "dataSource")
        attributes = self.attributes(source)
        kind = {"imap": ["zimbraImapDataSource"]}.get(source.get("type"), [])
        attributes |= {"objectClass": ["zimbraDataSource", *kind], "zimbraDataSourceName": [source.get("name")],
                       "zimbraDataSourceId": [str(uuid.uuid4())]}
        self.directory.add(f"zimbraDataSourceName={escape_dn(source.get('name'))},{dn}", attributes)

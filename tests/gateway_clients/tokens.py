"""Tokens made, read and broken with PyJWT, and what the gateway says to them."""

import base64
import json
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from support import eventually, expect, main

STATE = "/mesos/master/state-summary"
MESOS = "dcos:adminrouter:ops:mesos"


def keys(cluster):
    return expect(cluster.session().get(cluster.gateway + "/acs/api/v1/auth/jwks"), 200).json()


def status(cluster, token, path=STATE):
    return cluster.session(token).get(cluster.gateway + path).status_code


def parts(data):
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()


def a_token_is_what_the_original_gives(cluster):
    token = cluster.login()
    head = jwt.get_unverified_header(token)
    assert head["alg"] == "RS256" and head["kid"], head
    published = {key["kid"]: key for key in keys(cluster)["keys"]}
    for key in published.values():
        assert key["kty"] == "RSA" and key["alg"] == "RS256" and key["use"] == "sig", key
        assert not {"d", "p", "q"} & key.keys(), "a private key is published"
    key = jwt.PyJWK(published[head["kid"]]).key
    claims = jwt.decode(token, key, algorithms=["RS256"])
    assert claims["uid"] == cluster.admin, claims
    assert abs(claims["exp"] - time.time() - 5 * 86400) < 120, claims
    assert status(cluster, token) == 200
    for header in [f"token={token}", f"Bearer {token}"]:
        session = cluster.session()
        session.headers["Authorization"] = header
        expect(session.get(cluster.gateway + STATE), 200)


def broken_tokens_open_nothing(cluster):
    token = cluster.login()
    head, claims, signature = token.split(".")
    told = json.loads(base64.urlsafe_b64decode(claims + "=="))
    kid = jwt.get_unverified_header(token)["kid"]
    published = [key for key in keys(cluster)["keys"] if key["kid"] == kid][0]
    public = jwt.PyJWK(published).key
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    foreign = rsa.generate_private_key(65537, 2048)
    curve = ec.generate_private_key(ec.SECP256R1())
    # PyJWT refuses to take a public key for a shared secret; whoever attacks does not.
    import hashlib
    import hmac
    text = f"{parts({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{parts(told)}"
    mac = hmac.new(pem, text.encode(), hashlib.sha256).digest()
    confused = f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    other = {**told, "uid": "somebody"}
    forged = {
        "no signature": f"{parts({'alg': 'none', 'typ': 'JWT', 'kid': kid})}.{parts(told)}.",
        "None": f"{parts({'alg': 'None', 'kid': kid})}.{parts(told)}.{signature}",
        "empty signature": f"{head}.{claims}.",
        "public key as a secret": confused,
        "other claims": f"{head}.{parts(other)}.{signature}",
        "foreign key": jwt.encode(told, foreign, "RS256", {"kid": kid}),
        "foreign key, own id": jwt.encode(told, foreign, "RS256", {"kid": "mine"}),
        "key in the head": jwt.encode(told, foreign, "RS256", {"jwk": json.loads(
            jwt.algorithms.RSAAlgorithm.to_jwk(foreign.public_key()))}),
        "other algorithm": jwt.encode(told, curve, "ES256", {"kid": kid}),
        "expired": jwt.encode({**told, "exp": int(time.time()) - 3600}, foreign, "RS256",
                              {"kid": kid}),
        "cut": token[:-10],
        "long": token + "A" * 20000,
        "no token": "x",
        "three dots": "a.b.c",
    }
    for name, bad in forged.items():
        found = status(cluster, bad)
        assert found in (401, 431), f"{name}: {found}"
        # A bad header is not made good by a cookie.
        session = cluster.session(bad)
        session.cookies.set("dcos-acs-auth-cookie", token)
        found = session.get(cluster.gateway + STATE).status_code
        assert found in (401, 431), f"{name} with a cookie: {found}"
    assert status(cluster, token) == 200


def permissions_count_at_once(cluster):
    admin = cluster.session_of_admin()
    api = cluster.gateway + "/acs/api/v1"
    expect(admin.put(f"{api}/users/reader", json={"password": "reading-2-books"}), 201)
    token = cluster.login("reader", "reading-2-books")
    assert status(cluster, token) == 403
    expect(admin.put(f"{api}/acls/{MESOS}", json={"description": "Mesos"}), 201)
    expect(admin.put(f"{api}/acls/{MESOS}/users/reader/full"), 204)
    expect(admin.put(f"{api}/acls/dcos:mesos", json={"description": "All of Mesos"}), 201)
    expect(admin.put(f"{api}/acls/dcos:mesos/users/reader/read"), 204)
    eventually("the permission", lambda: status(cluster, token) == 200)
    assert status(cluster, token, "/service/marathon/v2/apps") == 403
    expect(admin.delete(f"{api}/acls/{MESOS}/users/reader/full"), 204)
    eventually("its end", lambda: status(cluster, token) == 403)
    expect(admin.delete(f"{api}/users/reader"), 204)
    eventually("the end of the token", lambda: status(cluster, token) == 401)
    # Somebody else of the same name is somebody else.
    expect(admin.put(f"{api}/users/reader", json={"password": "another-reader"}), 201)
    again = cluster.login("reader", "another-reader")
    assert status(cluster, token) == 401 and status(cluster, again) == 403
    expect(admin.delete(f"{api}/users/reader"), 204)


def services_log_in_with_their_keys(cluster):
    admin = cluster.session_of_admin()
    api = cluster.gateway + "/acs/api/v1"
    pairs = {"RS256": rsa.generate_private_key(65537, 2048),
             "ES256": ec.generate_private_key(ec.SECP256R1())}
    for algorithm, key in pairs.items():
        uid = f"service-{algorithm.lower()}"
        pem = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        expect(admin.put(f"{api}/users/{uid}", json={"public_key": pem.decode()}), 201)

        def login(claims, key=key, algorithm=algorithm, uid=uid):
            body = {"uid": uid, "token": jwt.encode(claims, key, algorithm)}
            return cluster.session().post(f"{api}/auth/login", json=body)

        now = int(time.time())
        token = expect(login({"uid": uid, "exp": now + 300}), 200).json()["token"]
        assert status(cluster, token) == 403, algorithm
        expect(login({"uid": uid, "exp": now - 300}), 401)
        expect(login({"uid": cluster.admin, "exp": now + 300}), 401)
        other = pairs["ES256" if algorithm == "RS256" else "RS256"]
        wrong = "ES256" if algorithm == "RS256" else "RS256"
        expect(login({"uid": uid, "exp": now + 300}, other, wrong), 401)
        expect(admin.delete(f"{api}/users/{uid}"), 204)


main([
    a_token_is_what_the_original_gives,
    broken_tokens_open_nothing,
    permissions_count_at_once,
    services_log_in_with_their_keys,
])
